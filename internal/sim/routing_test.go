package sim

import (
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// checkRouting: no write of the Service leads to mysqld while another one can answer, nor
// before the deletion of the pod that it led to before was accepted. A store that was restored
// behind the back of everybody who knew better takes the memory of that with it.
func (w *world) checkRouting(p failover.PointService) {
	if led := w.api.led; led != nil && !w.blind && !w.demoted(led) && led != w.api.endpoint() && !led.deleting && slices.Contains(w.api.pods[:], led) {
		w.violate("routing", "the Service leads to %s at epoch %d, and pod %s/%s, to which it led before, was not deleted", p.Member, p.Epoch, led.member.name, led.uid)
	}
	for _, m := range w.members {
		for _, a := range m.boxes {
			if serves(a.mysqld) && m.name != p.Member && !w.excused() {
				w.violate("routing", "the Service leads to %s at epoch %d while %s is open", p.Member, p.Epoch, m.name)
			}
		}
	}
}

// demoted: this pod's mysqld was demoted in a planned switchover and stays, and is the passive.
func (w *world) demoted(p *pod) bool {
	return w.api.demoted == pair.Holder{Member: p.member.name, PodUID: p.uid}
}

// checkRefusal: a detached Service leads to a pod that refuses clients, as long as there
// is someone who could lead them elsewhere. No one else takes a pod that is gone out of
// its endpoints.
func (w *world) checkRefusal() {
	answers := func(p *pod) bool { return p != nil && p.agent != nil && p.member.node.up }
	if w.api.service.Detached == "" || answers(w.api.behind()) || !w.couldLead() {
		w.mute = w.now
		return
	}
	if w.now-w.mute > muteMost {
		w.violate("mute", "the Service is detached, and the pod %s that it leads to has been gone for %s", w.api.service.Detached, w.now-w.mute)
	}
}

// muteMost is what an operator may need to lead clients elsewhere: two requests in a row
// that get no answer, each after a look that an agent does not answer, two seconds each.
const muteMost = 8 * time.Second

// checkDoor: a look that finds the Service detached from a pod that has been gone for a
// while, and nobody the holder, leads clients to a door, whatever else it finds to do.
func (w *world) checkDoor(obs failover.Observation, plan failover.Plan) {
	s := obs.Service
	for _, m := range obs.Members {
		if m.Pod.UID == s.Detached && m.Reach == failover.Answered {
			return
		}
	}
	switch plan.Rule {
	case failover.RuleOperationRefused, failover.RuleOperationFinished, failover.RuleStaleObservation, failover.RuleAuthorityUnreadable, failover.RuleAdoptRequested:
		return
	}
	rec := obs.Authority.Record
	if s.Detached == "" || obs.Authority.Reading != failover.Read || !rec.Holder.Nobody() || (plan.Kind == failover.Doubts && len(plan.Steps) == 0) {
		return
	}
	if gone := w.now - w.mute; gone > noticed && !points(plan.Steps) {
		w.violate("mute", "rule %s finds the Service detached from a pod that has been gone for %s, and leaves it", plan.Rule, gone)
	}
}

// noticed is when an operator has noticed that an agent has gone.
const noticed = time.Second

func points(steps []failover.Step) bool {
	if len(steps) == 0 {
		return false
	}
	if t, ok := steps[0].(failover.Together); ok {
		return slices.ContainsFunc(t.Steps, func(s failover.Step) bool { return s.Name() == failover.PointService{}.Name() })
	}
	return steps[0].Name() == failover.PointService{}.Name()
}

// couldLead: an operator is there and can reach the API server and sees no doubt.
func (w *world) couldLead() bool {
	if w.api.gate.stopped > 0 {
		return false
	}
	for _, o := range w.ops {
		cut := w.cut[o.site][siteAPI] > 0 || w.cut[siteAPI][o.site] > 0
		unable := o.plan.Kind == failover.Doubts || o.plan.Rule == failover.RuleAuthorityUnreadable || o.plan.Rule == failover.RuleStaleObservation
		if o.leads && !cut && !unable && o.gate.stopped == 0 {
			return true
		}
	}
	return false
}
