package status_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func available() failover.Observation {
	holder := pair.Holder{Member: "shop-0", PodUID: "p0"}
	return failover.Observation{
		Now: now,
		Settings: failover.Settings{
			Name:         "shop",
			Namespace:    "ns",
			UID:          "u",
			Generation:   4,
			AgentVersion: "v1",
		},
		Authority: failover.Authority{Reading: failover.Read, Record: authority.Record{
			PairUID: "u",
			Epoch:   2,
			Holder:  holder,
			Ledger:  authority.Ledger{State: authority.Solo, First: "shop-0"},
			Data:    map[pair.MemberName]pair.DataID{"shop-0": "d0"},
		}},
		Service: failover.Service{
			Reading:   failover.Read,
			Epoch:     2,
			Leads:     failover.LeadsOpen,
			PortLeads: failover.LeadsOpen,
			Member:    "shop-0",
		},
		Members: [2]failover.Member{
			{Name: "shop-0", Reach: failover.Answered, State: &agentapi.State{
				PodUID:       "p0",
				OpenEpoch:    2,
				Phase:        agentapi.PhaseOpen,
				AgentVersion: "v1",
			}},
			{Name: "shop-1"},
		},
	}
}

func statuses(conditions []metav1.Condition) map[string]metav1.ConditionStatus {
	out := map[string]metav1.ConditionStatus{}
	for _, c := range conditions {
		out[c.Type] = c.Status
	}
	return out
}

// TestEveryConditionIsListed: who forgets what a pair has no more goes by the lists.
func TestEveryConditionIsListed(t *testing.T) {
	listed := slices.Concat(v1alpha1.ConditionTypes, v1alpha1.OptionalConditionTypes)
	described := map[string]bool{}
	for _, m := range status.Meanings {
		described[m.Type] = true
		if !slices.Contains(listed, m.Type) {
			t.Errorf("condition %s is in no list", m.Type)
		}
	}
	if len(described) != len(listed) {
		t.Errorf("%d conditions are described, and %d are listed: %v", len(described), len(listed), listed)
	}
}

func TestEveryConditionIsThereFromTheFirstVisit(t *testing.T) {
	got := status.Conditions(failover.Observation{Now: now}, failover.Decide(failover.Observation{Now: now}), status.Reconciled{}, nil)
	for _, want := range v1alpha1.ConditionTypes {
		c := meta.FindStatusCondition(got, want)
		if c == nil {
			t.Errorf("condition %s is not there", want)
			continue
		}
		if m, known := status.MeaningOf(c.Type, c.Status); !known || !m.Allows(c.Reason) {
			t.Errorf("the reason %s of %s is not documented", c.Reason, want)
		}
	}
	if len(got) != len(v1alpha1.ConditionTypes) {
		t.Errorf("%d conditions, want %d", len(got), len(v1alpha1.ConditionTypes))
	}
}

func TestConditions(t *testing.T) {
	yes := metav1.ConditionTrue
	no := metav1.ConditionFalse
	unknown := metav1.ConditionUnknown
	settled := failover.Plan{Rule: failover.RuleReplicating, Kind: failover.Settled, Fact: "fine"}
	doubt := failover.Plan{
		Rule: failover.RuleNoTrustedCopy,
		Kind: failover.Doubts,
		Fact: "lost",
		Remedy: failover.Remedy{
			Verb: failover.VerbForcePromote, Targets: []pair.MemberName{"shop-0", "shop-1"}, Loses: "writes are lost",
		},
	}
	for name, c := range map[string]struct {
		spoil func(*failover.Observation)
		plan  failover.Plan
		done  bool
		want  map[string]metav1.ConditionStatus
	}{
		"an open primary behind its Service": {plan: settled, done: true,
			want: map[string]metav1.ConditionStatus{
				"Ready":       no,
				"Available":   yes,
				"InDoubt":     no,
				"Progressing": no,
				"Replicating": unknown,
			}},
		"children that are not done": {plan: settled, want: map[string]metav1.ConditionStatus{"Ready": no, "Available": yes, "Progressing": yes}},
		"a Service that leads elsewhere": {
			plan:  settled,
			done:  true,
			spoil: func(o *failover.Observation) { o.Service.PortLeads = failover.LeadsDoor },
			want:  map[string]metav1.ConditionStatus{"Ready": no, "Available": no},
		},
		"open at an older epoch": {
			plan:  settled,
			done:  true,
			spoil: func(o *failover.Observation) { o.Members[0].State.OpenEpoch = 1 },
			want:  map[string]metav1.ConditionStatus{"Ready": no, "Available": no},
		},
		"an agent that does not answer is unknown, not down": {
			plan:  settled,
			done:  true,
			spoil: func(o *failover.Observation) { o.Members[0].Reach = failover.TimedOut },
			want:  map[string]metav1.ConditionStatus{"Ready": no, "Available": unknown},
		},
		"a doubt": {
			plan:  doubt,
			done:  true,
			spoil: func(o *failover.Observation) { o.Authority.Record.Holder = pair.Holder{} },
			want:  map[string]metav1.ConditionStatus{"Ready": no, "Available": no, "InDoubt": yes},
		},
	} {
		o := available()
		if c.spoil != nil {
			c.spoil(&o)
		}
		got := statuses(status.Conditions(o, c.plan, status.Reconciled{Done: c.done, Fact: "x"}, nil))
		for kind, want := range c.want {
			if got[kind] != want {
				t.Errorf("%s: %s is %s, want %s", name, kind, got[kind], want)
			}
		}
	}
	o := available()
	o.Authority.Record.Holder = pair.Holder{}
	c := meta.FindStatusCondition(status.Conditions(o, doubt, status.Reconciled{}, nil), "InDoubt")
	if want := "lost. Command: kubectl dbpair force-promote shop shop-0 -n ns; or: kubectl dbpair force-promote shop shop-1 -n ns (writes are lost)"; c.Message != want || c.Reason != "NoTrustedCopy" {
		t.Errorf("doubt reads %q (%s), want %q", c.Message, c.Reason, want)
	}
}

func TestRenderKeepsWhatIsNotKnown(t *testing.T) {
	o := available()
	first := status.Render(o, failover.Plan{Rule: failover.RuleInSync, Kind: failover.Settled}, status.Reconciled{Done: true}, v1alpha1.DatabasePairStatus{})
	if first.Primary != "shop-0" || first.Epoch != 2 || !slices.Equal(first.InSync, []string{"shop-0"}) {
		t.Errorf("rendered %+v", first)
	}
	if first.Members[1].State != "Unreachable" || first.Members[0].State != "Open" || first.Members[0].Role != v1alpha1.RolePrimary {
		t.Errorf("members %+v", first.Members)
	}
	o.Authority = failover.Authority{}
	second := status.Render(o, failover.Plan{}, status.Reconciled{}, first)
	if second.Primary != first.Primary || second.Epoch != first.Epoch || !slices.Equal(second.InSync, first.InSync) {
		t.Errorf("an unread authority changed the status to %+v", second)
	}
	o = available()
	third := status.Render(o, failover.Plan{Rule: failover.RuleInSync, Kind: failover.Settled}, status.Reconciled{Done: true}, first)
	if diff := cmp.Diff(first, third); diff != "" {
		t.Errorf("the same look changed the status (-first +third):\n%s", diff)
	}
}

// The last decision keeps its time while the same rule decides the same kind of thing, whichever
// step has its turn, and an idle pair has nothing to write.
func TestRenderKeepsTheTimeOfADecision(t *testing.T) {
	o := available()
	waits := failover.Plan{Rule: failover.RulePassiveAway, Kind: failover.Waits, Fact: "shop-1 has been silent for 1s"}
	first := status.Render(o, waits, status.Reconciled{}, v1alpha1.DatabasePairStatus{})
	want := &v1alpha1.LastDecision{
		Rule:    "PassiveAway",
		Kind:    "Waits",
		Since:   metav1.NewTime(o.Now),
		Message: "shop-1 has been silent for 1s",
	}
	if diff := cmp.Diff(want, first.LastDecision); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	o.Now = o.Now.Add(time.Minute)
	waits.Fact = "shop-1 has been silent for 61s"
	second := status.Render(o, waits, status.Reconciled{}, first)
	want.Message = "shop-1 has been silent for 61s"
	if diff := cmp.Diff(want, second.LastDecision); diff != "" {
		t.Errorf("another wording (-want +got):\n%s", diff)
	}
	turn := failover.Plan{
		Rule: failover.RuleLabelsFollow,
		Kind: failover.Acts,
		Fact: "a label is missing",
		State: failover.Note{
			Rule: failover.RulePassiveAway, Kind: failover.Waits, Fact: want.Message,
		},
	}
	if diff := cmp.Diff(want, status.Render(o, turn, status.Reconciled{}, second).LastDecision); diff != "" {
		t.Errorf("another step's turn (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, status.Render(o, failover.Plan{}, status.Reconciled{}, second).LastDecision); diff != "" {
		t.Errorf("no decision (-want +got):\n%s", diff)
	}
	waits.Kind = failover.Holds
	if got := status.Render(o, waits, status.Reconciled{}, second).LastDecision; !got.Since.Time.Equal(o.Now) || got.Kind != "Holds" {
		t.Errorf("another kind of decision: %+v", got)
	}
}

func TestBlockedWritesAreNotAvailable(t *testing.T) {
	plan := failover.Plan{Rule: failover.RulePassiveAway, Kind: failover.Holds, Fact: "shop-1 is away"}
	plan.Notes = []failover.Note{{Rule: failover.RuleWritesBlocked, Kind: failover.Holds, Fact: "a commit has waited 6s"}}
	for _, c := range status.Conditions(available(), plan, status.Reconciled{Done: true}, nil) {
		if c.Type == "Available" && (c.Status != metav1.ConditionFalse || c.Reason != "WritesBlocked" || c.Message != "a commit has waited 6s") {
			t.Errorf("condition %+v", c)
		}
	}
	if got := statuses(status.Conditions(available(), plan, status.Reconciled{Done: true}, nil))["Available"]; got != metav1.ConditionFalse {
		t.Errorf("Available is %s", got)
	}
}
