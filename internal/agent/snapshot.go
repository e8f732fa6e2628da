package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// snapshot is the state now.
func (b *board) snapshot() agentapi.State {
	_, silent := b.from.peer()
	entrance := b.from.door()
	member := b.from.member()
	child := member.child
	identity := member.identity
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.seen
	now := process.Now()
	s := b.facts(v)
	s.PeerSilentFor = silent
	s.Door = entrance
	s.LastOpen = member.lastOpen.describe(now)
	s.Mysqld = agentapi.Mysqld{
		Running:  child.proc != nil,
		Exits:    child.exits,
		LastExit: child.lastExit,
		Version:  child.version,
	}
	if child.proc != nil {
		s.Mysqld.Incarnation = child.incarnation
	}
	if !identity.Void {
		s.DataID = identity.DataID
	}
	if d := b.discarded; d != nil && d.DataID == s.DataID {
		s.Discarded = d
	}
	if b.leaseAnswer != 0 {
		s.LeaseReadAge = now.Sub(b.leaseAnswer)
	}
	if v.Ending {
		s.EndsIn = max(v.EndsAt.Sub(now), time.Nanosecond)
	}
	if v.Confirmed {
		s.ConfirmationAge = now.Sub(v.ConfirmedAt)
	}
	b.describeRunning(&s, child, now)
	for _, p := range b.problems {
		if p.active {
			s.Problems = append(s.Problems, p.Problem)
		}
	}
	slices.SortFunc(s.Problems, byUrgency)
	s.Phase = b.phaseOf(v, child, identity.Void, identity.DataID == "", member.busy)
	return s
}

// byUrgency is the order of problems, of which conditions name the first: what a member does without comes last.
func byUrgency(x, y agentapi.Problem) int {
	last := func(p agentapi.Problem) int {
		if p.Code == agentapi.ProblemPacketRule {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(last(x), last(y)), strings.Compare(string(x.Code), string(y.Code)))
}

// facts are what the board itself knows. Called with its lock held.
func (b *board) facts(v authority.View) agentapi.State {
	return agentapi.State{
		Revision:          b.revision,
		PairUID:           b.self.PairUID,
		Member:            b.self.Member,
		PodUID:            b.self.PodUID,
		AgentStart:        b.self.AgentStart,
		AgentVersion:      b.self.AgentVersion,
		TellsRole:         b.self.TellsRole,
		KnownEpoch:        v.Known,
		ActedLedger:       v.ActedLedger,
		OpenEpoch:         v.OpenEpoch,
		ReceiverStoppedAt: v.Durable.ReceiverStopped,
		UncleanAt:         uncleanAt(v),
		TailCommitted:     v.Durable.TailCommitted,
		NeedsConfirmation: v.NeedsConfirmation,
		TailUncovered:     v.TailUncovered,
		Ending:            v.Ending,
		LeaseReadAge:      -1,
		ConfirmationAge:   -1,
		Seed:              b.seed,
		Ledger:            b.ledger,
		Found:             b.found,
		LeaseEpoch:        b.leaseEpoch.Epoch,
		ForcesRowsFor:     b.from.forces(),
		Drain:             b.from.drain(),
		SemiSyncLostAt:    b.waitingLost,
		Compared:          b.compared,
		Lacks:             b.lack,
		Quarantine:        b.quarantine,
		VolumeLow:         b.space[dataVolume].low,
		BinlogVolumeLow:   b.space[binlogVolume].low,
		WrongSettings:     b.wrong,
		Settings:          b.settings,
		Libraries:         b.libraries,
		RewindRefused:     b.tail.why,
		TailKept:          b.tail.kept.String(),
	}
}

// describeRunning adds what mysqld answered last, if it did. Called with the lock held.
func (b *board) describeRunning(s *agentapi.State, running child, now authority.Instant) {
	if b.status == nil {
		return
	}
	s.Server = describeServer(*b.status)
	s.Server.PrivilegedAccounts = b.accounts
	s.Server.ReceivingFor, s.Server.ReceivedAge = b.reception.Ages(now)
	if b.seen.OpenEpoch != 0 {
		s.Server.InFlight = b.inFlight
	}
	s.Server.PasswordsRevision = b.passwordsRev
	if until := b.formerAppUntil; b.seen.OpenEpoch != 0 && !until.IsZero() {
		s.Server.FormerAppPasswordUntil = &until
	}
	s.ServerAge = now.Sub(b.lookedAt)
	ended := b.ended == running.incarnation && judge.EndedApplying(*b.status)
	s.AppliedAll = b.seen.Durable.ReceiverStopped != 0 && b.lookedAt >= b.stoppedAt && ended
}
