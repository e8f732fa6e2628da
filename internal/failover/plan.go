package failover

import (
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// Kind says what a plan is, and with it what the conditions say.
type Kind string

// The kinds of plan.
const (
	// Settled: everything is as wished.
	Settled Kind = "Settled"
	// Acts: Steps has something to do.
	Acts Kind = "Acts"
	// Waits: something is under way elsewhere.
	Waits Kind = "Waits"
	// Holds: something is not as wished, nobody's doubt, and not the operator's to change
	// unasked.
	Holds Kind = "Holds"
	// Doubts: nothing may be done without a missing proof or an administrator's confirmation.
	Doubts Kind = "Doubts"
)

// Plan is what Decide says.
type Plan struct {
	// Rule that spoke.
	Rule RuleName
	Kind Kind
	// Fact is one sentence about what was seen.
	Fact string
	// Topic tells facts of one rule apart: another topic is worth an event although the same rule speaks. It has
	// no counts and no times. Empty for rules that speak of one thing only.
	Topic string
	// Verb resolves it; VerbNone when nobody has to act.
	Verb Verb
	// Remedy is the verb with the members that it can name, and what it may cost.
	Remedy Remedy
	// Missing are the pods whose proof is missing, in a doubt.
	Missing []fencing.Subject
	// Steps in order; the first is executed, then everything is looked at again.
	Steps []Step
	// After is the longest time until the next look; zero leaves it to the caller.
	After time.Duration
	// State names the state of the pair: of the plans that are due the first by precedence,
	// whichever has its turn now, so that conditions stay the same while several take turns.
	State Note
	// Retried: the first step has failed before over the same authority.
	Retried bool
	// Notes are other rules that hold a fact worth showing, in order.
	Notes []Note
	// FailoverReady, from the same observation.
	FailoverReady Readiness
	// Evictable: an eviction of the primary would be answered by a failover without loss.
	Evictable bool
	// Operation is the record that this act belongs to; nil for none.
	Operation *OperationNote
}

// Stated is the plan with what names the state of the pair in place of what has its turn.
func (p Plan) Stated() Plan {
	if s := p.State; s.Rule != "" {
		p.Rule = s.Rule
		p.Kind = s.Kind
		p.Fact = s.Fact
		p.Verb = s.Verb
		p.Remedy = s.Remedy
	}
	return p
}

// doubt is the doubt that the pair is in, if it is in one.
func (p Plan) doubt() (Note, bool) {
	for _, n := range append([]Note{p.State}, p.Notes...) {
		if n.Kind == Doubts {
			return n, true
		}
	}
	return Note{}, false
}

// Note is a fact that another rule found.
type Note struct {
	Rule RuleName
	Kind Kind
	Fact string
	Verb Verb
	// Remedy is the verb with the members that it can name, and what it may cost.
	Remedy Remedy
}

// Readiness says whether the pair could fail over now without loss, and if not, why.
type Readiness struct {
	Ready bool
	Rule  RuleName
	Fact  string
}

// OperationNote is what is to be written into a DatabasePairOperation. The recorder
// makes the object when there is none; writing the same note twice changes nothing.
type OperationNote struct {
	Name  string
	Verb  Verb
	Rule  RuleName
	Phase pair.OperationPhase
	Epoch pair.Epoch
	From  pair.MemberName
	To    pair.MemberName
	// Target of a re-seed of which the recorder makes the object.
	Target pair.MemberName
	Proof  fencing.Kind
	// GTIDs, as far as they are known; what is empty changes nothing that was noted.
	GTIDs GTIDs
	// Discarded is what the promoted member gave up unapplied, or a copied one with its former data; nil for nothing.
	Discarded *agentapi.Discarded
	// WriteGap is zero while it is not known.
	WriteGap time.Duration
	// OnlyUpdate: an object that is gone is not made again.
	OnlyUpdate bool
	// Drained is what became of the sessions of clients; nil while it is not known.
	Drained *Drained
	// Held are the clients that waited at the new primary's door; nil when none did, or nobody knows.
	Held *Held
	// Message says how it goes, or what has to be done.
	Message string
}

// Held is the account of the clients who waited at a door during a change of roles: how many, and for
// how long one of them did at most.
type Held struct {
	Clients int
	Longest time.Duration
}

// Drained is the account of a drain: the sessions that were closed outside a transaction, and
// those that were cut in the middle of one, the first of them by name.
type Drained struct {
	Closed   int
	Cut      int
	Sessions []string
}

// GTIDs are sets as text: what the candidate had when it had stopped receiving, and when it
// was appointed, and what the former primary's binlog held by its last answer.
type GTIDs struct{ Received, Executed, Promoted, Former string }
