package status

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

func TestWriteWritesOnlyWhatIsNews(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		change func(*v1alpha1.DatabasePairStatus)
		since  time.Duration
		want   bool
	}{
		"nothing changed":              {func(*v1alpha1.DatabasePairStatus) {}, time.Hour, false},
		"the lag, soon after the last": {func(s *v1alpha1.DatabasePairStatus) { s.Lag = "2s" }, Quiet - time.Second, false},
		"the lag, long after the last": {func(s *v1alpha1.DatabasePairStatus) { s.Lag = "2s" }, Quiet, true},
		"the wording of the decision, soon after the last": {func(s *v1alpha1.DatabasePairStatus) {
			s.LastDecision.Message = "shop-1 has been silent for 3s"
			s.Lag = "2s"
		}, Quiet - time.Second, false},
		"the rule, soon after the last": {func(s *v1alpha1.DatabasePairStatus) {
			s.LastDecision.Rule = "PassiveAway"
			s.Lag = "2s"
		}, time.Millisecond, true},
		"the primary, soon after the last": {func(s *v1alpha1.DatabasePairStatus) {
			s.Primary = "shop-1"
			s.Lag = "2s"
		}, time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "db"}}
			p.Status.Primary = "shop-0"
			p.Status.Lag = "1s"
			p.Status.LastDecision = &v1alpha1.LastDecision{Rule: "InSync", Kind: "Settled", Message: "shop-1 is in sync"}
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(p).WithStatusSubresource(p).Build()
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
				t.Fatal(err)
			}
			next := *p.Status.DeepCopy()
			tc.change(&next)
			wrote, err := Write(t.Context(), c, p, next, now.Add(-tc.since), now)
			if err != nil || wrote != tc.want {
				t.Fatalf("wrote: %v, %v", wrote, err)
			}
			stored := &v1alpha1.DatabasePair{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), stored); err != nil {
				t.Fatal(err)
			}
			if got := stored.Status.Lag == next.Lag && stored.Status.Primary == next.Primary; got != (tc.want || name == "nothing changed") {
				t.Errorf("stored status = %+v", stored.Status)
			}
			if !tc.want {
				return
			}
			// p is what was read before, so a second write from it is one too many.
			next.Primary = "shop-9"
			if _, err := Write(t.Context(), c, p, next, time.Time{}, now); !apierrors.IsConflict(err) {
				t.Errorf("a write over what changed meanwhile: %v", err)
			}
		})
	}
}

// What the pair waits for may never come before someone repairs what a member says.
func TestConditionsNameTheProblemThatIsWaitedOut(t *testing.T) {
	o := failover.Observation{Authority: failover.Authority{Reading: failover.Read}}
	o.Members[0] = failover.Member{Name: "shop-0", Reach: failover.Answered, State: &agentapi.State{
		Problems: []agentapi.Problem{{Code: agentapi.ProblemNoMysqld, Message: "set spec.mysql.image"}},
	}}
	o.Members[1] = failover.Member{Name: "shop-1", Pod: failover.Pod{Problem: "Unschedulable: no node"}}
	p := failover.Plan{Rule: failover.RuleInitializeMember, Kind: failover.Waits, Fact: "shop-0 is Initializing"}
	for _, c := range Conditions(o, p, Reconciled{Fact: "secrets: forbidden"}, nil) {
		if c.Type != v1alpha1.ConditionReady {
			continue
		}
		for _, want := range []string{"shop-0 is Initializing", "set spec.mysql.image", "shop-1: Unschedulable", "secrets: forbidden"} {
			if !strings.Contains(c.Message, want) {
				t.Errorf("Ready says %q, not %q", c.Message, want)
			}
		}
	}
}
