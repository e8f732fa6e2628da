package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// alive: after the faults the pair accepts writes, or says what it doubts.
func (w *world) alive() {
	if w.violation != "" || w.now-w.ackedAt < 12*time.Second || w.set.stays {
		return
	}
	for _, o := range w.ops {
		if !o.leads {
			continue
		}
		if o.plan.Rule == failover.RuleAuthorityUnreadable || o.plan.Rule == failover.RuleStaleObservation {
			o.plan = o.former
		}
		for _, n := range append([]failover.Note{{
			Rule: o.plan.Rule,
			Kind: o.plan.Kind,
			Fact: o.plan.Fact,
			Verb: o.plan.Verb,
		}}, o.plan.Notes...) {
			switch {
			case n.Kind == failover.Doubts:
				w.wedged(n)
				return
			case n.Rule == failover.RuleWritesBlocked, n.Rule == failover.RuleFailoverDue:
				return
			}
		}
	}
	w.violate("stuck", "no write was acknowledged since %.1fs%s", w.ackedAt.Seconds(), w.says())
}

// says is what the operators say of the pair.
func (w *world) says() string {
	var says string
	for _, o := range w.ops {
		if o.leads {
			says += " | " + string(o.plan.Rule) + ": " + o.plan.Fact
			for _, n := range o.plan.Notes {
				says += "; " + string(n.Rule) + ": " + n.Fact
			}
		}
	}
	return says
}

// untold says what the records of operations lack about how the present primary was
// appointed; empty when there is a finished one, with its proof.
func (w *world) untold() string {
	for _, o := range w.api.opsList {
		if o.Verb == failover.VerbSwitchover && !o.ended() {
			return fmt.Sprintf("operation %s is %s: %s", o.Name, o.Phase, o.Message)
		}
	}
	r := w.api.lease
	if r == nil || r.Appointed == nil || r.LastHolder == nil || r.Appointed.Operation == "" {
		return ""
	}
	for _, o := range w.api.opsList {
		if o.Name != r.Appointed.Operation {
			continue
		}
		if o.operator && (o.Phase == "" || o.Phase == pair.OperationRunning || (o.Phase == pair.OperationSucceeded && o.Proof == "")) {
			return fmt.Sprintf("operation %s is %s with proof %q", o.Name, o.Phase, o.Proof)
		}
		return ""
	}
	return fmt.Sprintf("%s was appointed at epoch %d in operation %s, of which there is no record", r.Holder, r.Epoch, r.Appointed.Operation)
}

// told: a failover has a finished record once the operator has come to rest.
func (w *world) told() {
	if why := w.untold(); why != "" && w.violation == "" && w.settled() {
		w.violate("untold", "%s", why)
	}
}

// wedged: a doubt although nothing was lost and everything is back is a dead end of the
// protocol, not an honest answer.
func (w *world) wedged(n failover.Note) {
	if !slices.Contains(failover.DoubtRules, n.Rule) || n.Verb == failover.VerbNone {
		w.violate("unnamed", "a doubt that has no page, or no verb that resolves it (%s): %s: %s", n.Verb, n.Rule, n.Fact)
	}
	// In Async a forced deletion takes the only proof along that counts there.
	terminated := !w.set.lossless && !w.set.asyncAny
	for _, f := range w.set.faults {
		switch f.kind {
		case "volumeLost", "strayLeft", "volumeEmptied", "nodeGone", "etcdRestored", "etcdRestoredBlind", "leaseRestored", "leaseDeleted", "leaseRewritten", "leaseEdited", "ledgerForged", "leaseForged", "applierFailed", "personFences":
			return
		case "podForceDeleted":
			if terminated {
				return
			}
		}
	}
	switch n.Rule {
	case failover.RuleNoTrustedCopy, failover.RuleBootstrapStalled, failover.RuleAwaitingProof, failover.RuleAuthorityRolledBack, failover.RuleAuthorityChangedByOthers, failover.RuleAuthorityMissing:
		w.violate("wedged", "both members are back, and the pair is in doubt: %s: %s", n.Rule, n.Fact)
	}
}

// checkOrderly: what is announced is never proven by waiting for the authority to run out.
func (w *world) checkOrderly(k fencing.Kind) {
	if w.set.orderly && w.now > faultsBegin && k == fencing.AuthorityExpired {
		w.violate("orderly", "an announced end of the primary was waited for until its authority had run out")
	}
}

// orderlyMost is how long clients may wait for a write when the primary leaves in good order:
// a few looks of the operator, the way of the Service and a client's own pause.
const orderlyMost = 2500 * time.Millisecond

// checkGap: where some member could serve, one does after a bounded time; an announced end
// of the primary costs next to nothing.
func (w *world) checkGap() {
	if most := w.set.gapMost; most > 0 && w.violation == "" && w.gap > most {
		w.violate("gap", "clients waited %s for a write, and %s would have been enough", w.gap, most)
	}
}

// checkFollows: when everything is back and no member has what the other one lacks, the passive
// follows the primary again.
func (w *world) checkFollows() {
	if !w.set.follows || w.violation != "" || w.api.lease == nil {
		return
	}
	for i, m := range w.members {
		other := w.members[1-i]
		if other.name != w.api.lease.Holder.Member || other.vol.data == nil || m.vol.data == nil {
			continue
		}
		errant := m.vol.data.received().missing(other.vol.data.inBinlog) >= 0
		if s := m.running(); !errant && (s == nil || s.recv == nil) {
			w.violate("dead end", "everything is back, %s has nothing that %s lacks, and does not follow it%s", m.name, other.name, w.says())
		}
	}
}

// checkWhole: when everything is back the pair is in sync again.
func (w *world) checkWhole() {
	if !w.set.whole || w.violation != "" {
		return
	}
	if l := w.api.lease; l == nil || l.Ledger.State != authority.Both {
		w.violate("dead end", "everything is back, and the members are not in sync at the end%s", w.says())
	}
	for i, m := range w.members {
		d := m.vol.data
		if d == nil || d.errored {
			w.violate("dead end", "everything is back, and %s cannot apply anything%s", m.name, w.says())
			continue
		}
		other := w.members[1-i]
		if l := w.api.lease; l == nil || other.name != l.Holder.Member || other.vol.data == nil {
			continue
		}
		if t := d.received().missing(other.vol.data.inBinlog); t >= 0 {
			w.violate("errant in sync", "everything is back, and %s has transaction %d, which %s lacks%s", m.name, t, other.name, w.says())
		}
	}
}
