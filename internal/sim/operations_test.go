package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// operationObject is a DatabasePairOperation.
type operationObject struct {
	failover.OperationNote
	target    pair.MemberName
	confirmed pair.Epoch
	operator  bool
	// discard: it allows to discard what the target cannot apply.
	discard  bool
	finished time.Duration
	// made and begun are when the object was made, and when its status first said more than
	// what it waits for.
	made, begun time.Duration
	canceled    string
	switchover  *failover.Switchover
}

// confirms is the pair that the operation's confirmation names; empty for one without.
func (o *operationObject) confirms() string {
	if o.confirmed < 0 {
		return ""
	}
	return "shop"
}

// ended: its phase never changes again.
func (o *operationObject) ended() bool {
	return o.Phase != pair.OperationRunning && o.Phase != pair.OperationPending && o.Phase != ""
}

func (a *apiServer) operation(n failover.OperationNote) {
	for _, o := range a.opsList {
		if o.Name == n.Name {
			if o.ended() {
				return
			}
			o.Phase, o.Message, o.Proof = n.Phase, n.Message, cmp.Or(n.Proof, o.Proof)
			o.Rule = cmp.Or(o.Rule, n.Rule)
			if o.Epoch == 0 && n.Phase != pair.OperationPending {
				o.begun = a.w.now
				o.Epoch = n.Epoch
				o.From = n.From
			}
			if n.Phase != pair.OperationRunning && n.Phase != pair.OperationPending {
				a.w.fired[string(o.Verb)+" "+string(n.Phase)]++
				o.finished = a.w.now
			}
			return
		}
	}
}

// operationMade makes the object of an operation; what it says follows.
func (a *apiServer) operationMade(n failover.OperationNote) {
	if slices.ContainsFunc(a.opsList, func(o *operationObject) bool { return o.Name == n.Name }) {
		return
	}
	empty := failover.OperationNote{Name: n.Name, Verb: n.Verb}
	made := &operationObject{OperationNote: empty, operator: true, confirmed: -1, finished: a.w.now, made: a.w.now}
	if n.Verb == failover.VerbSwitchover {
		made.target = n.To
		made.switchover = a.w.switchover()
	}
	if n.Verb == failover.VerbReseed {
		made.target = n.Target
	}
	a.opsList = append(a.opsList, made)
}

// failovers are the ends of those that the operator made by itself.
func (a *apiServer) failovers() []time.Time {
	var out []time.Time
	for _, o := range a.opsList {
		if o.operator && o.Verb == failover.VerbFailover && o.Phase == pair.OperationSucceeded && o.Rule != failover.RuleHolderLeaving {
			out = append(out, a.w.wall(o.finished))
		}
	}
	return out
}

// rollouts are the switchovers of rollouts that have ended. In so short a run another one is not
// put off for minutes.
func (a *apiServer) rollouts() []failover.EndedRollout {
	var out []failover.EndedRollout
	for _, o := range a.opsList {
		if o.operator && o.Verb == failover.VerbSwitchover && o.ended() {
			out = append(out, failover.EndedRollout{
				Name:      o.Name,
				At:        a.w.wall(o.finished - rolloutRetry + 5*time.Second),
				Succeeded: o.Phase == pair.OperationSucceeded,
				Message:   o.Message,
			})
		}
	}
	return out
}

// rolloutRetry is what an operator puts off the next switchover of a rollout by.
const rolloutRetry = 5 * time.Minute

// recorded are the names of the operations that say something.
func (a *apiServer) recorded() []string {
	var out []string
	for _, o := range a.opsList {
		if o.Phase != "" && o.Phase != pair.OperationPending {
			out = append(out, o.Name)
		}
	}
	return out
}

func (a *apiServer) unfinished() []failover.Operation {
	var out []failover.Operation
	for _, o := range a.opsList {
		if o.ended() {
			continue
		}
		out = append(out, failover.Operation{
			Name: o.Name, Verb: o.Verb, Target: o.target, Confirmed: o.confirmed, ConfirmedPair: o.confirms(),
			Running: o.Phase == pair.OperationRunning, ByOperator: o.operator, Epoch: o.Epoch, From: o.From,
			DiscardUnapplied: o.discard,
			CreatedAt:        a.w.wall(o.made), StartedAt: a.w.wall(o.begun), Message: o.Message, Canceled: o.canceled, Switchover: o.switchover,
		})
	}
	return out
}
