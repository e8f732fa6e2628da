package failover

import (
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// gathered is what is known about the pods that must be closed, and how to learn more.
type gathered struct {
	proofs  []fencing.Proof
	missing []fencing.Subject
	steps   []Step
	// after is when an expiry will be due; zero when none is on its way.
	after time.Duration
}

// gather collects the proofs for a course and the steps towards the missing ones.
func (l *look) gather(c course) gathered {
	var g gathered
	others := l.othersOf(c.to)
	for _, s := range l.rec.Subjects(pair.Holder(c.to.subject()), others) {
		g.proofs = append(g.proofs, l.Evidence.Proofs(s, l.e)...)
		expired, remaining := l.expired(s)
		if expired.Kind() != "" {
			g.proofs = append(g.proofs, expired)
		}
		if remaining > 0 && (g.after == 0 || remaining < g.after) {
			g.after = remaining
		}
	}
	draft := authority.Appoint{
		To:                pair.Holder(c.to.subject()),
		Grounds:           c.grounds,
		Others:            others,
		Proofs:            g.proofs,
		AckFencedIsEnough: l.Settings.Lossless && l.Settings.PromoteOnAckFenced,
	}
	g.missing = draft.Missing(l.rec)
	ackFenceIsEnough := c.ackFence && !c.planned && len(l.ackAbout()) > 0
	if ackFenceIsEnough && l.sinceEpoch() < l.rec.LeaseDuration/2 {
		// The ack fence is all that is waited for: an old agent that does not answer must
		// not hold it up.
		return g
	}
	for _, s := range g.missing {
		g.steps = append(g.steps, l.evidenceSteps(s)...)
	}
	return g
}

// expired: the authority of a pod has run out. In Async that counts about the last holder's
// pod only if opted in, since a machine that a hypervisor stopped would go on acknowledging.
// Any other pod was proven closed before the last holder was appointed.
func (l *look) expired(s fencing.Subject) (fencing.Proof, time.Duration) {
	held := l.rec.LastHolder != nil && s == fencing.SubjectOf(l.rec.LastHolder.Holder)
	if held && !l.Settings.Lossless && !l.Settings.AsyncAnyProof {
		return fencing.Proof{}, 0
	}
	return l.Evidence.Expired(fencing.Expiry{
		Subject: s,
		Voucher: l.other(s.Member).Name,
		Epoch:   l.e,
		Lease:   l.rec.LeaseDuration,
		Margin:  l.margin(),
	}, l.Now)
}

// takeAdminConfirmation makes a proof of an administrator's confirmation. That it is used is noted first: once the
// next holder is appointed its epoch is over, and it would look like one that came too late.
func (l *look) takeAdminConfirmation(op *Operation, s fencing.Subject) Step {
	if !op.Running {
		return NoteOperation{Note: OperationNote{
			Name:    op.Name,
			Verb:    op.Verb,
			Rule:    RuleAwaitingProof,
			Phase:   pair.OperationRunning,
			Epoch:   l.e,
			From:    s.Member,
			Message: fmt.Sprintf("that %s cannot run any more is taken for a proof", s.Member),
		}}
	}
	word := fencing.Word{
		Operation: op.Name,
		Member:    s.Member,
		Epoch:     op.Confirmed,
	}
	if l.rec.LastHolder != nil {
		word.HeldAt = l.rec.LastHolder.Epoch
	}
	return AdminConfirmation{Subject: s, Word: word}
}

// margin is what is waited beyond T. The Lease can name a longer T than the spec, until the
// next appointment; the margin is never less than that one needs.
func (l *look) margin() time.Duration {
	return max(l.Settings.SafetyMargin, authority.LeastMargin(l.rec.LeaseDuration))
}

// evidenceSteps are the questions that can yield a proof about a pod: its own agent, its
// end, its node, an administrator's confirmation, and its peer's cease, without which nothing expires.
func (l *look) evidenceSteps(s fencing.Subject) []Step {
	m := l.member(s.Member)
	if m == nil {
		return nil
	}
	var steps []Step
	present := m.Pod.Reading == Read && m.Pod.UID == s.PodUID
	if present && m.Pod.IP != "" && !m.Pod.Ended.Terminated {
		steps = append(steps, Fence{Subject: s})
	}
	if present && m.Pod.Deleting && m.Pod.Ended.Terminated {
		steps = append(steps, ProvePod{Subject: s})
	}
	waited := l.sinceEpoch() > l.rec.LeaseDuration+l.margin()
	if present && waited && m.Pod.NodeOutOfService == Yes {
		steps = append(steps, ProveNode{Subject: s, Node: m.Pod.Node})
	}
	if op := l.operation(VerbConfirmDead, s.Member); op != nil && waited {
		steps = append(steps, l.takeAdminConfirmation(op, s))
	}
	return append(steps, l.ceaseSteps(l.other(s.Member))...)
}

// ceaseSteps ask a member to vouch for its peer no more, unless it has ceased at this epoch.
func (l *look) ceaseSteps(voucher *Member) []Step {
	_, ceased := l.Evidence.CeasedAt(voucher.Name, l.e)
	reachable := voucher.Pod.UID != "" && voucher.Pod.IP != ""
	if ceased || !reachable {
		return nil
	}
	return []Step{Cease{Subject: voucher.subject()}}
}
