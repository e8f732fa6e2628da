package status_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	conditions "github.com/dbpair/dbpair/internal/status"
)

func TestTheConditionRouterReadySaysWhatIsKnown(t *testing.T) {
	ready := conditions.RouterPods{
		Known:  true,
		Wanted: 2,
		Ready:  2,
	}
	for name, tc := range map[string]struct {
		change func(*conditions.RouterPods)
		silent bool // an agent that tells nobody its role
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"all is well":          {func(*conditions.RouterPods) {}, false, metav1.ConditionTrue, conditions.ReasonRouterPodsReady, "2 pods"},
		"not looked at":        {func(p *conditions.RouterPods) { *p = conditions.RouterPods{} }, false, metav1.ConditionUnknown, conditions.ReasonObjectsPending, ""},
		"a name that is taken": {func(p *conditions.RouterPods) { p.Problem = "taken" }, false, metav1.ConditionFalse, conditions.ReasonObjectsPending, "taken"},
		"a pod is missing": {
			func(p *conditions.RouterPods) { p.Ready = 1 }, false, metav1.ConditionFalse, conditions.ReasonRouterPodsNotReady,
			"1 of 2 pods of the router are ready. Command: kubectl get pods",
		},
		"a rollout": {func(p *conditions.RouterPods) { p.Outdated = 1 }, false, metav1.ConditionFalse, conditions.ReasonRouterPodsNotReady, "former configuration"},
		"an old agent": {
			func(*conditions.RouterPods) {}, true, metav1.ConditionFalse, string(failover.RuleAgentOutdated), "Command: kubectl dbpair upgrade-agent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			for i := range o.Members {
				o.Members[i].State.TellsRole = !tc.silent
			}
			pods := ready
			tc.change(&pods)
			done.Router = conditions.Router{Wanted: true, Pods: pods}
			all := conditions.Conditions(o, p, done, nil)
			got := meta.FindStatusCondition(all, v1alpha1.ConditionRouterReady)
			if got == nil || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
				t.Fatalf("condition %+v", got)
			}
			if meaning, known := conditions.MeaningOf(got.Type, got.Status); !known || !meaning.Allows(got.Reason) {
				t.Errorf("docs/conditions.md does not have %s=%s with %s", got.Type, got.Status, got.Reason)
			}
			if !meta.IsStatusConditionTrue(all, v1alpha1.ConditionReady) {
				t.Error("the database is not ready for its router")
			}
			done.Router.Wanted = false
			if left := meta.FindStatusCondition(conditions.Conditions(o, p, done, all), v1alpha1.ConditionRouterReady); left != nil {
				t.Errorf("a pair without a router has %+v", left)
			}
		})
	}
}
