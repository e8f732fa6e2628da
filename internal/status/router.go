package status

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// RouterPods are the pods of a pair's router. The zero value is that nobody has looked at them.
type RouterPods struct {
	Known bool
	// Wanted is how many there should be, and Ready how many take clients. Outdated are those of a
	// former configuration.
	Wanted, Ready, Outdated int
	// Problem is why the router is not as the spec asks for; empty for nothing.
	Problem string
}

// Router is what is known of a pair's router.
type Router struct {
	// Wanted: the spec asks for one.
	Wanted bool
	Pods   RouterPods
}

// routerReady is the condition of a pair with a router.
func routerReady(o failover.Observation, pods RouterPods) metav1.Condition {
	const kind = v1alpha1.ConditionRouterReady
	look := fmt.Sprintf(". Command: kubectl get pods -n %s -l dbpair.io/router-of=%s", o.Settings.Namespace, o.Settings.Name)
	switch {
	case !pods.Known:
		return condition(kind, metav1.ConditionUnknown, ReasonObjectsPending, "the router has not been looked at yet")
	case pods.Problem != "":
		return condition(kind, metav1.ConditionFalse, ReasonObjectsPending, "the router is not as the spec asks for: "+pods.Problem)
	case pods.Ready < pods.Wanted:
		return condition(kind, metav1.ConditionFalse, ReasonRouterPodsNotReady,
			fmt.Sprintf("%d of %d pods of the router are ready%s", pods.Ready, pods.Wanted, look))
	case pods.Outdated > 0:
		return condition(kind, metav1.ConditionFalse, ReasonRouterPodsNotReady,
			fmt.Sprintf("%d of the router's pods have a former configuration and are being replaced%s", pods.Outdated, look))
	}
	for i := range o.Members {
		if m := &o.Members[i]; m.Heard() && !m.State.TellsRole {
			return condition(kind, metav1.ConditionFalse, failover.RuleAgentOutdated,
				fmt.Sprintf("the agent of %s does not tell the router about its role yet, and clients reach it by the pair's Service alone. "+
					"Command: kubectl dbpair upgrade-agent %s -n %s", m.Name, o.Settings.Name, o.Settings.Namespace))
		}
	}
	return condition(kind, metav1.ConditionTrue, ReasonRouterPodsReady, fmt.Sprintf("%d pods of the router are ready", pods.Ready))
}
