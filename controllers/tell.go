package controllers

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/status"
)

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
	// eventLimit is what the API takes of a note.
	eventLimit = 1000
)

// tellOf raises an event: something happened to the pair. The reason is a rule's name, a problem's code
// or the name of what was done. related is the object that it is about, nil for the pair
// as a whole: client-go counts an event whose reason and objects are those of an earlier
// one as the same again and drops its note, so two members must not share them.
func tellOf(events recorder.EventRecorder, p *v1alpha1.DatabasePair, related runtime.Object, kind, reason, note string) {
	events.Eventf(p, related, kind, reason, reason, "%s", shortNote(note))
}

// shortNote cuts a note at what the API takes.
func shortNote(note string) string {
	if len(note) > eventLimit {
		return strings.ToValidUTF8(note[:eventLimit-3], "") + "..."
	}
	return note
}

func (r *PairReconciler) event(p *v1alpha1.DatabasePair, related runtime.Object, kind, reason, note string) {
	tellOf(r.Events, p, related, kind, reason, note)
}

// warnOnce raises a warning once for as long as it lasts and its text is the same.
func (r *PairReconciler) warnOnce(v *visit, related client.Object, reason, note string) {
	if v.session.warned.isNews(related.GetName()+"/"+reason, note) {
		r.event(v.pair, related, warning, reason, note)
	}
}

// news is what events were raised for: the rule that spoke and its topic, problems of members with
// their counts, and refused writes.
type news struct {
	rule     failover.RuleName
	topic    string
	problems map[string]int
	refused  map[failover.Write]bool
}

// tell raises events for what is new: another rule speaks, or of something else, or a member has a
// problem it did not have.
func (r *PairReconciler) tell(v *visit, o failover.Observation, plan failover.Plan) {
	r.tellRefused(v, o.Refused)
	spoken := v.session.news.rule == plan.Rule && v.session.news.topic == plan.Topic
	if !spoken && !housekeeping(plan) && !plan.Retried {
		v.session.news.rule = plan.Rule
		v.session.news.topic = plan.Topic
		if kind := eventKind(plan); kind != "" && plan.Fact != "" {
			r.event(v.pair, nil, kind, string(plan.Rule), status.Message(o, plan.Fact, plan.Remedy))
		}
	}
	for i := range o.Members {
		r.tellMember(v, &o.Members[i])
		r.tellDiscard(v, o, &o.Members[i])
		r.tellPruned(v, &o.Members[i])
		r.tellVolumeLow(v, &o.Members[i])
	}
}

// reasonDiscarded is the reason of the event about transactions that were given up.
const reasonDiscarded = "UnappliedDiscarded"

// tellDiscard raises an event for what a member gave up for the present appointment or the one
// that is due.
func (r *PairReconciler) tellDiscard(v *visit, o failover.Observation, m *failover.Member) {
	if m.State == nil || m.State.Discarded == nil || m.State.Discarded.Former != "" || m.State.Discarded.Epoch+1 < o.Authority.Record.Epoch {
		return
	}
	d := m.State.Discarded
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: v.name.Namespace,
		Name:      string(m.Name),
		UID:       types.UID(m.Pod.UID),
	}}
	r.warnOnce(v, pod, reasonDiscarded, fmt.Sprintf(
		"%s: operation %s had %d transactions discarded that it had received and could not apply (%.300s); "+
			"the relay log is saved in %s on its volume",
		m.Name, d.Operation, d.Transactions, d.GTIDs, d.Directory))
}

func eventKind(plan failover.Plan) string {
	switch plan.Kind {
	case failover.Doubts, failover.Holds:
		if plan.Rule == failover.RuleHibernated {
			return normal // as was asked for
		}
		return warning
	case failover.Acts:
		return normal
	case failover.Waits, failover.Settled:
	}
	return ""
}

// housekeeping: what is done next is no news of its own, and does not make what another
// rule says before and after it news again.
func housekeeping(plan failover.Plan) bool {
	if plan.Kind != failover.Acts || len(plan.Steps) == 0 {
		return false
	}
	switch s := plan.Steps[0].(type) {
	case failover.ReadLease, failover.LabelPod, failover.AddFinalizer, failover.RemoveFinalizer, failover.NoteOperation:
		return true
	case failover.PointService:
		return s.Leads == failover.LeadsDoor
	}
	return false
}

func (r *PairReconciler) tellMember(v *visit, m *failover.Member) {
	name := string(m.Name)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: v.name.Namespace,
		Name:      name,
		UID:       types.UID(m.Pod.UID),
	}}
	if m.Pod.Problem != "" {
		reason, _, _ := strings.Cut(m.Pod.Problem, ":")
		r.warnOnce(v, pod, reason, name+": "+m.Pod.Problem)
	}
	if m.State == nil {
		return
	}
	seen := map[string]bool{}
	if v.session.news.problems == nil {
		v.session.news.problems = map[string]int{}
	}
	for _, p := range m.State.Problems {
		key := name + "/" + string(p.Code) + "/" + string(m.State.AgentStart)
		seen[key] = true
		before, had := v.session.news.problems[key]
		if had && before == p.Count {
			continue
		}
		v.session.news.problems[key] = p.Count
		corrected := p.Code == agentapi.ProblemWritablePassive && p.Count > before
		if corrected {
			readonlyCorrections.WithLabelValues(v.name.Namespace, v.name.Name, name).Add(float64(p.Count - before))
		}
		if had && !corrected {
			// It goes on; a count that rises is no news.
			continue
		}
		r.event(v.pair, pod, warning, string(p.Code), name+": "+p.Message)
	}
	for key := range v.session.news.problems {
		if strings.HasPrefix(key, name+"/") && !seen[key] {
			delete(v.session.news.problems, key)
		}
	}
}
