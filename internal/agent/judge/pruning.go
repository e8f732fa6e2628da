package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// recent is how old what is known of the Lease and of the peer may be when entries of the
// quarantine are removed by it.
const recent = time.Minute

// Pruning is a member of whose quarantine old entries are due to be removed.
type Pruning struct {
	Lossless bool
	Peer     pair.MemberName
	// Record is the Lease as this agent read it last.
	Record authority.Record
	// Mine is this member's state, and Theirs the peer's by its newest answer, nil for none.
	Mine   agentapi.State
	Theirs *agentapi.State
	// TheirAge is how old the peer's answer is.
	TheirAge time.Duration
}

// Doubt says why nothing is removed from the quarantine now; empty when the retention counts. What
// was given up may be wanted, and exist nowhere else, as long as it is open which transactions
// belong to the pair. That is settled while the primary is open, the other member replicates from
// it in order, and neither has transactions that the other lacks and cannot get.
func (p Pruning) Doubt() string {
	for _, doubt := range []string{p.doubtAboutLease(), p.doubtAboutMembers(), p.doubtAboutReplication()} {
		if doubt != "" {
			return doubt
		}
	}
	return ""
}

func (p Pruning) doubtAboutLease() string {
	r := p.Record
	mine := p.Mine
	switch {
	case mine.LeaseReadAge < 0 || mine.LeaseReadAge > recent:
		return "the Lease has not been read for a minute"
	case r.PairUID != mine.PairUID || r.Epoch != mine.KnownEpoch:
		return fmt.Sprintf("the Lease is at epoch %d of pair %q, and epoch %d of %q is known", r.Epoch, r.PairUID, mine.KnownEpoch, mine.PairUID)
	case r.Holder.Member != mine.Member && r.Holder.Member != p.Peer:
		return "no member is the primary"
	case mine.DataID == "" || r.Data[mine.Member] != mine.DataID:
		return fmt.Sprintf("the Lease names data %q of this member, and it has %q", r.Data[mine.Member], mine.DataID)
	case r.Data[p.Peer] == "" || r.Seeding != nil:
		return fmt.Sprintf("%s or %s is being copied, or is to be", mine.Member, p.Peer)
	case p.Lossless && r.Ledger.State != authority.Both:
		return fmt.Sprintf("the ledger is %s(%s)", r.Ledger.State, r.Ledger.First)
	}
	return ""
}

func (p Pruning) doubtAboutMembers() string {
	if p.Theirs == nil || p.TheirAge > recent || p.Theirs.PairUID != p.Mine.PairUID {
		return fmt.Sprintf("%s has not answered for a minute", p.Peer)
	}
	for _, s := range []agentapi.State{p.Mine, *p.Theirs} {
		want := agentapi.PhaseClosed
		if s.Member == p.Record.Holder.Member {
			want = agentapi.PhaseOpen
		}
		switch {
		case s.Phase != want:
			return fmt.Sprintf("%s is %s", s.Member, s.Phase)
		case s.RewindRefused != "":
			return fmt.Sprintf("the tail of %s was not cut: %s", s.Member, s.RewindRefused)
		case s.Lacks != nil:
			return fmt.Sprintf("%s lacks transactions that it cannot get", s.Member)
		case s.Compared != nil && s.Compared.Errant != "":
			return fmt.Sprintf("%s has transactions that are not the pair's", s.Member)
		}
		for _, problem := range s.Problems {
			if slices.Contains(aboutData, problem.Code) {
				return fmt.Sprintf("%s: %s", s.Member, problem.Message)
			}
		}
	}
	return ""
}

// aboutData are the problems during which data that was given up may be what repairs them.
var aboutData = []agentapi.ProblemCode{
	agentapi.ProblemErrant,
	agentapi.ProblemReplication,
	agentapi.ProblemSeedFailed,
	agentapi.ProblemForeignVolume,
	agentapi.ProblemVolumeUnreadable,
	agentapi.ProblemMysqldExits,
	agentapi.ProblemWritablePassive,
}

func (p Pruning) doubtAboutReplication() string {
	passive := p.Mine
	if p.Record.Holder.Member == p.Mine.Member {
		passive = *p.Theirs
	}
	switch s := passive.Server; {
	case s == nil:
		return fmt.Sprintf("mysqld of %s has not answered", passive.Member)
	case !s.Receiver.Running || !s.Applier.Running || s.Applier.LastErrno != 0:
		return fmt.Sprintf("%s does not replicate", passive.Member)
	}
	return ""
}
