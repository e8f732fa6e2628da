package failover

import (
	"maps"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// Kept is what the pair's status and its operations have kept of former observations.
type Kept struct {
	// Epoch is the highest epoch in the pair's status.
	Epoch pair.Epoch
	// Accepted is the record that the status keeps; nil for none.
	Accepted *authority.Record
	// Failovers are the ends of automatic failovers in the last hour.
	Failovers []time.Time
	// Begun are the operations whose status says that they were begun, finished or not.
	Begun []string
	// Rollouts are the switchovers of rollouts that have ended, oldest first.
	Rollouts []EndedRollout
}

// EndedRollout is a switchover of a rollout that has ended.
type EndedRollout struct {
	Name      string
	At        time.Time
	Succeeded bool
	Message   string
}

// Streamed is since when the passive has been seen to stream in one run of its mysqld.
type Streamed struct {
	Member      pair.MemberName
	Incarnation pair.Incarnation
	Since       time.Time
}

// History is what the operator remembers of a pair beside the authority. It is a value: Next
// and After give the next one and change nothing. All of it may be lost with the process.
type History struct {
	// Epoch is the highest epoch in the pair's status.
	Epoch pair.Epoch
	// StartedAt is when this operator process first observed the pair.
	StartedAt time.Time
	// Accepted is the last record that followed from the one accepted before it, or that
	// this process wrote; after a start, that of the status; nil for none. One that does not follow was modified
	// externally, and does not take its place for as long as that lasts.
	Accepted *authority.Record
	// Refused is the record that was read last and found modified externally, and why; nil
	// when the last one was accepted. It stays refused also when what showed that, such as
	// an agent, cannot be asked any more.
	Refused    *authority.Record
	RefusedWhy string
	// Holder and HolderEpoch are those of the record that was read last.
	Holder      pair.Holder
	HolderEpoch pair.Epoch
	// Failovers are the ends of automatic failovers in the last hour.
	Failovers []time.Time
	// HolderSince is when this process first saw the present holder; zero for nobody.
	HolderSince time.Time
	// LastActed is the rule whose step was executed last.
	LastActed RuleName
	// Attempts are the last executions of a step, by the rule that asked for it.
	Attempts map[RuleName]Attempt
	// Errant is what a member's binlog has that the holder's has not, as last compared;
	// empty when it has nothing.
	Errant ErrantByMember
	// RolledBack is what the primary was found to lack though it was its own; zero for
	// nothing. It stays while the members cannot be compared again.
	RolledBack RolledBack
	// HolderOpened: the holder was seen open at the present epoch.
	HolderOpened bool
	// OpenedAt is when the present holder was first heard open, HeardOpen when last, and
	// LastOpen when the former one was heard last; zero for never, by this process.
	OpenedAt, HeardOpen, LastOpen time.Time
	// PeerHeard is when the present holder's peer, as it says, last heard its agent; zero for
	// not since it was heard open. Only the report of a failover goes by it.
	PeerHeard time.Time
	// AcceptsSince is when the present holder began to accept writes, and AcceptedUntil when
	// the former one stopped, by what their agents measured; zero for not heard.
	AcceptsSince, AcceptedUntil time.Time
	// Recorded is the newest operation that appointed a holder and was seen to say so,
	// finished or not.
	Recorded string
	// Closed is since when the primary has been seen up and closed, in one run of its mysqld;
	// zero while it is open or down.
	Closed Closed
	// LostSince is since when, by the observations of this process, the passive has not been
	// streaming while the authority named this holder; zero when it streams.
	LostSince time.Time
	// Unheard is for how long the passive's agent has been asked in vain.
	Unheard Unheard
	// Streamed is since when, by the observations of this process, the passive has been streaming
	// without a break; zero when it does not.
	Streamed Streamed
}

// Unheard is a time in which an agent was asked and did not answer. A pause between two
// observations counts for unheardStep at most, and for less than deadAfter: an operator that could
// not look, because the API server was slow for instance, learns nothing from that.
type Unheard struct {
	For  time.Duration
	Last time.Time // the observation that it was counted up to; zero when the agent answered
}

// unheardStep is more than an agent is given to answer and the pause before it is asked again.
const unheardStep = 1500 * time.Millisecond

func (u Unheard) next(now time.Time, deadAfter time.Duration) Unheard {
	if !u.Last.IsZero() {
		u.For += min(max(0, now.Sub(u.Last)), unheardStep, deadAfter/2)
	}
	u.Last = now
	return u
}

// Next is the history that Decide needs beside this observation, of which History is not
// looked at. An authority that could not be read teaches nothing about the roles.
func (h History) Next(o Observation) History {
	h.Epoch = max(h.Epoch, o.Kept.Epoch)
	h.Failovers = o.Kept.Failovers
	if o.Authority.Reading != Read {
		return h
	}
	if h.Accepted == nil {
		h.Accepted = o.Kept.Accepted
	}
	o.History = h
	rec := o.Authority.Record
	read := rec.Clone()
	if h.RefusedWhy = newLook(o).modified(); h.RefusedWhy == "" {
		h.Accepted = &read
		h.Refused = nil
	} else {
		h.Refused = &read
	}
	if a := rec.Appointed; a != nil && slices.Contains(o.Kept.Begun, a.Operation) {
		h.Recorded = a.Operation
	}
	if rec.Holder != h.Holder || rec.Epoch != h.HolderEpoch {
		h = h.withHolder(rec, o.Now)
	}
	if !rec.Holder.Nobody() {
		h = h.heard(o)
	}
	h = h.measured(o)
	o.History = h
	return observed(o)
}

// withHolder begins what is remembered of a holder.
func (h History) withHolder(rec authority.Record, now time.Time) History {
	h.Holder = rec.Holder
	h.HolderEpoch = rec.Epoch
	h.HolderOpened = false
	h.HolderSince = time.Time{}
	h.LostSince = time.Time{}
	h.Streamed = Streamed{}
	if !h.HeardOpen.IsZero() {
		h.LastOpen = h.HeardOpen
		if h.PeerHeard.After(h.LastOpen) {
			h.LastOpen = h.PeerHeard
		}
	}
	h.PeerHeard = time.Time{}
	h.OpenedAt = time.Time{}
	h.HeardOpen = time.Time{}
	h.AcceptsSince = time.Time{}
	if rec.Holder.Nobody() {
		h.AcceptedUntil = time.Time{} // of the failover before this one
	}
	if !rec.Holder.Nobody() {
		h.HolderSince = now
	}
	return h
}

// heard keeps when the holder was open, and since when its passive does not stream.
func (h History) heard(o Observation) History {
	for i := range o.Members {
		m := &o.Members[i]
		if h.HolderOpened && m.Name != h.Holder.Member && m.Heard() {
			if at := m.HeardAt.Add(-m.State.PeerSilentFor); at.After(h.PeerHeard) {
				h.PeerHeard = at
			}
		}
		switch {
		case m.Name == h.Holder.Member:
			if m.Heard() && m.State.OpenEpoch == h.HolderEpoch {
				h.HolderOpened = true
				h.HeardOpen = m.HeardAt
				if h.OpenedAt.IsZero() {
					h.OpenedAt = m.HeardAt
				}
			}
		case receives(m):
			h.LostSince = time.Time{}
			h.Streamed = h.Streamed.goesOn(m, o.Now)
		default:
			h.Streamed = Streamed{}
			if h.LostSince.IsZero() {
				h.LostSince = o.Now
			}
		}
	}
	return h
}

// goesOn is the same after the member was seen to stream.
func (s Streamed) goesOn(m *Member, now time.Time) Streamed {
	if s.Member == m.Name && s.Incarnation == m.State.Mysqld.Incarnation {
		return s
	}
	return Streamed{
		Member:      m.Name,
		Incarnation: m.State.Mysqld.Incarnation,
		Since:       now,
	}
}

// measured keeps what the agents say of the end of the former holder's writes and the
// beginning of the present one's.
func (h History) measured(o Observation) History {
	last := o.Authority.Record.LastHolder
	for i := range o.Members {
		m := &o.Members[i]
		if m.State == nil || m.State.LastOpen == nil {
			continue
		}
		open := m.State.LastOpen
		asLast := last != nil && m.Name == last.Holder.Member && open.Epoch == last.Epoch
		if asLast && open.ClosedAge > 0 {
			h.AcceptedUntil = m.HeardAt.Add(-open.ClosedAge)
		}
		if m.Name == h.Holder.Member && open.Epoch == h.HolderEpoch && open.ClosedAge == 0 {
			h.AcceptsSince = m.HeardAt.Add(-open.OpenedAge)
		}
	}
	return h
}

// receives: the member's receiver runs.
func receives(m *Member) bool {
	return m.Heard() && m.State.Mysqld.Running && m.State.Server != nil && m.State.Server.Receiver.Running
}

// Attempt is the last execution of a rule's step.
type Attempt struct {
	Step StepName
	// Version of the authority over which it was executed.
	Version string
	// Failed: it ended with an error.
	Failed bool
}

// Outcome is what the execution of a plan's first step came to.
type Outcome struct {
	// Failed: the step ended with an error.
	Failed bool
	// Errant is what a comparison of binlogs found, by member; nil when nothing was compared.
	Errant ErrantByMember
	// Wrote is the record after a change of the authority, which may have succeeded beside a
	// step that failed; nil without one.
	Wrote *authority.Record
}

// After is the history once the first step of a plan was executed over an observation. It
// changes nothing that h shares.
func (h History) After(o Observation, p Plan, out Outcome) History {
	if len(p.Steps) == 0 {
		return h
	}
	h.Attempts = maps.Clone(h.Attempts)
	if h.Attempts == nil {
		h.Attempts = map[RuleName]Attempt{}
	}
	h.LastActed = p.Rule
	h.Attempts[p.Rule] = Attempt{
		Step:    p.Steps[0].Name(),
		Version: o.Authority.Version,
		Failed:  out.Failed,
	}
	if out.Wrote != nil {
		accepted := out.Wrote.Clone()
		h.Accepted = &accepted
	}
	if len(out.Errant) > 0 {
		errant := maps.Clone(h.Errant)
		if errant == nil {
			errant = ErrantByMember{}
		}
		maps.Copy(errant, out.Errant)
		h.Errant = errant
	}
	return h
}

// attempted is the last attempt at the plan's first step over this version of the authority.
func (h History) attempted(version string, p Plan) (Attempt, bool) {
	if len(p.Steps) == 0 {
		return Attempt{}, false
	}
	a, ok := h.Attempts[p.Rule]
	return a, ok && a.Version == version && a.Step == p.Steps[0].Name()
}

// failed: the plan's first step was tried over this version of the authority, and failed.
func (h History) failed(version string, p Plan) bool {
	a, ok := h.attempted(version, p)
	return ok && a.Failed
}

// repeats: the plan's first step is what was executed last, over the same version.
func (h History) repeats(version string, p Plan) bool {
	_, ok := h.attempted(version, p)
	return ok && h.LastActed == p.Rule
}
