package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

func refusal(verb, kind, name string) failover.RefusedWrite {
	return failover.RefusedWrite{
		Write: failover.Write{Verb: verb, Kind: kind, Name: name},
		Says:  `admission webhook "a.test" denied the request: no`,
		Since: now.Add(-time.Minute),
	}
}

const refusedText = `since 2026-01-02T03:03:05Z: admission webhook "a.test" denied the request: no`

func TestConditionsNameRefusedWrites(t *testing.T) {
	yes, no := metav1.ConditionTrue, metav1.ConditionFalse
	ofPod := refusal("patch", failover.KindPod, "shop-0")
	ofSet := refusal("apply", "StatefulSet", "shop")
	closed := func(o *failover.Observation) { o.Members[0].State.OpenEpoch = 1 }
	missing := func(o *failover.Observation) {
		closed(o)
		o.Members[1].Pod.Reading = failover.Missing
	}
	unled := func(o *failover.Observation) { o.Service.PortLeads = failover.LeadsDoor }
	type want struct {
		available, ready metav1.ConditionStatus
		reason           string // of Available
		readyReason      string
	}
	for name, c := range map[string]struct {
		spoil   func(*failover.Observation)
		refused []failover.RefusedWrite
		want    want
	}{
		"of a child, while clients reach the primary": {func(*failover.Observation) {}, []failover.RefusedWrite{ofSet}, want{yes, no, "AcceptsWrites", "WriteRefused"}},
		"of a pod, while clients reach the primary":   {func(*failover.Observation) {}, []failover.RefusedWrite{ofPod}, want{yes, no, "AcceptsWrites", "WriteRefused"}},
		"of a pod, while clients are led elsewhere":   {unled, []failover.RefusedWrite{ofPod}, want{no, no, "WriteRefused", "WriteRefused"}},
		"of a child, while clients are led elsewhere": {unled, []failover.RefusedWrite{ofSet}, want{no, no, "ServiceFollows", "ServiceFollows"}},
		"of a pod, while nobody is open":              {closed, []failover.RefusedWrite{ofPod}, want{no, no, "WriteRefused", "WriteRefused"}},
		"of a child, while its pod is missing":        {missing, []failover.RefusedWrite{ofSet}, want{no, no, "WriteRefused", "WriteRefused"}},
		"of the pair's own status":                    {missing, []failover.RefusedWrite{refusal("patch the status of", failover.KindPair, "shop")}, want{no, no, "AwaitOpening", "AwaitOpening"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := available()
			c.spoil(&o)
			o.Refused = c.refused
			plan := failover.Plan{Rule: failover.RuleAwaitOpening, Kind: failover.Waits, Fact: "is not open yet"}
			conditions := status.Conditions(o, plan, status.Reconciled{Done: true}, nil)
			a := meta.FindStatusCondition(conditions, v1alpha1.ConditionAvailable)
			r := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
			if diff := cmp.Diff(c.want, want{a.Status, r.Status, a.Reason, r.Reason}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, condition := range []*metav1.Condition{a, r} {
				says := "the API server has refused to " + c.refused[0].Write.String() + " " + refusedText
				if condition.Reason == "WriteRefused" && condition.Message != says {
					t.Errorf("%s says %q, want %q", condition.Type, condition.Message, says)
				}
			}
		})
	}
}

// TestConditionsStayTheSameWhileStepsTakeTurns: while a step is refused, it and a later one take
// turns. A condition that changed with that would be written, and read, without end.
func TestConditionsStayTheSameWhileStepsTakeTurns(t *testing.T) {
	o := available()
	o.Service.PortLeads = failover.LeadsDoor
	state := failover.Note{Rule: failover.RuleServiceFollows, Kind: failover.Acts, Fact: "the Service does not lead to shop-0"}
	doubt := failover.Note{Rule: failover.RuleAwaitingProof, Kind: failover.Doubts, Fact: "there is no proof"}
	one := failover.Plan{Rule: failover.RuleServiceFollows, Kind: failover.Acts, Fact: "the Service does not lead to shop-0"}
	other := failover.Plan{Rule: failover.RuleAwaitingProof, Kind: failover.Doubts, Fact: "there is no proof"}
	one.State, one.Notes = state, []failover.Note{doubt}
	other.State, other.Notes = state, []failover.Note{doubt}
	for name, refused := range map[string][]failover.RefusedWrite{
		"before it is named":   nil,
		"while it is named":    {refusal("update", failover.KindService, "shop")},
		"for another's reason": {refusal("apply", "Secret", "shop-app")},
	} {
		t.Run(name, func(t *testing.T) {
			o.Refused = refused
			first := status.Conditions(o, one, status.Reconciled{Done: true}, nil)
			second := status.Conditions(o, other, status.Reconciled{Done: true}, first)
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("another step's turn changed the conditions:\n%s", diff)
			}
			if !meta.IsStatusConditionTrue(second, v1alpha1.ConditionInDoubt) {
				t.Errorf("the doubt does not show: %+v", second)
			}
		})
	}
}

func TestADoubtShowsBesideARefusedWrite(t *testing.T) {
	o := available()
	o.Authority.Record.Holder = pair.Holder{}
	o.Refused = []failover.RefusedWrite{refusal("update", failover.KindLease, "shop")}
	plan := failover.Plan{
		Rule: failover.RuleNoTrustedCopy,
		Kind: failover.Doubts,
		Fact: "lost",
		Remedy: failover.Remedy{
			Verb: failover.VerbForcePromote, Targets: []pair.MemberName{"shop-1"}, Loses: "writes are lost",
		},
	}
	conditions := status.Conditions(o, plan, status.Reconciled{Done: true}, nil)
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionAvailable)
	if c.Reason != "WriteRefused" || !strings.Contains(c.Message, refusedText) || !strings.Contains(c.Message, "kubectl dbpair force-promote shop shop-1 -n ns") {
		t.Errorf("Available: %s: %s", c.Reason, c.Message)
	}
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionInDoubt); c.Reason != "NoTrustedCopy" {
		t.Errorf("InDoubt: %s", c.Reason)
	}
}
