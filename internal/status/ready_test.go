package status_test

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	conditions "github.com/dbpair/dbpair/internal/status"
)

// whole is a pair in which nothing is left to be done.
func whole() (failover.Observation, failover.Plan, conditions.Reconciled) {
	o := available()
	passive := &o.Members[1]
	passive.Reach = failover.Answered
	passive.State = &agentapi.State{
		PodUID:       "p1",
		Phase:        agentapi.PhaseClosed,
		AgentVersion: "v1",
		Mysqld:       agentapi.Mysqld{Running: true},
		Server: &agentapi.Server{
			Receiver: agentapi.ChannelThread{Running: true},
			Applier:  agentapi.ChannelThread{Running: true},
		},
	}
	p := failover.Plan{
		Rule: failover.RuleInSync,
		Kind: failover.Settled,
		Fact: "shop-0 is the primary, shop-1 is in sync",
		FailoverReady: failover.Readiness{
			Ready: true,
			Rule:  failover.RuleInSync,
			Fact:  "shop-1 can take over from shop-0",
		},
	}
	return o, p, conditions.Reconciled{Done: true}
}

type spoiled struct {
	spoil   func(*failover.Observation, *failover.Plan, *conditions.Reconciled)
	reason  string
	says    string
	stalled bool
}

var spoiledPairs = map[string]spoiled{
	"a refused spec": {
		spoil: func(_ *failover.Observation, _ *failover.Plan, d *conditions.Reconciled) {
			*d = conditions.Reconciled{Reason: conditions.ReasonSpecRefused, Fact: "spec.mysql.config: no_such"}
		},
		reason:  "SpecRefused",
		says:    "no_such",
		stalled: true,
	},
	"objects that are not there yet": {
		spoil: func(_ *failover.Observation, _ *failover.Plan, d *conditions.Reconciled) {
			d.Done = false
			d.Fact = "services: forbidden"
		},
		reason: "ObjectsPending", says: "services: forbidden",
	},
	"a paused pair": {
		spoil: func(o *failover.Observation, _ *failover.Plan, d *conditions.Reconciled) {
			o.Settings.Paused = true
			d.Done = false
		},
		reason: "Paused", says: "spec.paused",
	},
	"a client Service that leads elsewhere": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Service.PortLeads = failover.LeadsDoor
		},
		reason: "ServiceFollows", says: "does not lead to it",
	},
	"a doubt": {
		spoil: func(_ *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			p.Notes = []failover.Note{{Rule: failover.RuleVolumeClaimDeleting, Kind: failover.Doubts, Fact: "the claim of shop-0 is being deleted"}}
		},
		reason:  "VolumeClaimDeleting",
		says:    "shop-0",
		stalled: true,
	},
	"a claim in deletion": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1].ClaimDeleting = true
		},
		reason: "VolumeClaimDeleting", says: "volume claim of shop-1",
	},
	"a claim in deletion about which something can be done": {
		spoil: func(o *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1].ClaimDeleting = true
			p.Notes = []failover.Note{{
				Rule: failover.RuleVolumeClaimDeleting,
				Kind: failover.Holds,
				Fact: "the volume claim data-shop-1 is being deleted. Let the pod go: kubectl patch pod shop-1",
			}}
		},
		reason: "VolumeClaimDeleting", says: "kubectl patch pod shop-1",
	},
	"a member with a former setting": {
		spoil: func(o *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			o.Members[0].Pod.Outdated = "spec.mysql.config"
			p.Notes = []failover.Note{{Rule: failover.RuleRestartPending, Kind: failover.Holds, Fact: "shop-0 runs with a former spec.mysql.config"}}
		},
		reason: "RestartPending", says: "shop-0 runs with a former spec.mysql.config",
	},
	"a member that is about to be made again": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Settings.AutomaticRollout = true
			o.Members[1].Pod = failover.Pod{Reading: failover.Read, UID: "p1"}
			o.Members[0].Pod.Outdated = "spec.mysql.image"
		},
		reason: "Rollout", says: "1 of 2 members run generation 4",
	},
	"a rollout that waits": {
		spoil: func(o *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			o.Members[0].Pod.Outdated = "spec.mysql.image"
			p.Notes = []failover.Note{{Rule: failover.RuleRollout, Kind: failover.Waits, Fact: "the next step waits: shop-1 lags"}}
		},
		reason: "Rollout", says: "shop-1 lags",
	},
	"a rollout that stopped": {
		spoil: func(o *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			o.Members[0].Pod.Outdated = "spec.mysql.image"
			p.Notes = []failover.Note{
				{Rule: failover.RulePassiveAway, Kind: failover.Holds, Fact: "the agent of shop-1 does not answer"},
				{Rule: failover.RuleRolloutStopped, Kind: failover.Holds, Fact: "shop-1 does not come back: ImagePullBackOff"},
			}
		},
		reason:  "RolloutStopped",
		says:    "ImagePullBackOff",
		stalled: true,
	},
	"a problem of a member": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1].State.Problems = []agentapi.Problem{{Code: agentapi.ProblemReplication, Message: "the applier stopped: error 1666"}}
		},
		reason: "MemberProblem", says: "shop-1: the applier stopped: error 1666",
	},
	"a plugin that someone installed on one member": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			for i := range o.Members {
				o.Members[i].State.Server = &agentapi.Server{Receiver: agentapi.ChannelThread{Running: true}, Applier: agentapi.ChannelThread{Running: true}}
			}
			o.Members[0].State.Libraries = &agentapi.Libraries{Plugins: []string{"auth_socket.so"}}
			o.Members[1].State.Libraries = &agentapi.Libraries{}
		},
		reason: "MemberProblem", says: "shop-0 has the plugin library auth_socket.so loaded and shop-1 has not: name it in spec.mysql.plugins",
	},
	"a pod that the cluster refuses": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1] = failover.Member{Name: "shop-1", Pod: failover.Pod{Problem: "FailedCreate: exceeded quota"}}
		},
		reason: "MemberProblem", says: "shop-1: FailedCreate: exceeded quota",
	},
	"a passive that was not reached yet": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1] = failover.Member{Name: "shop-1"}
		},
		reason: "PassiveAway", says: "the agent of shop-1 has not answered yet",
	},
	"a passive that does not apply": {
		spoil: func(o *failover.Observation, _ *failover.Plan, _ *conditions.Reconciled) {
			o.Members[1].State.Server.Applier = agentapi.ChannelThread{LastErrno: 1666, LastError: "Cannot execute statement"}
		},
		reason: "ApplierStopped", says: "shop-1 does not apply what it receives: Cannot execute statement",
	},
	"a passive that may not be promoted": {
		spoil: func(_ *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			p.FailoverReady = failover.Readiness{Rule: failover.RuleNoCandidate, Fact: "the ledger is solo(shop-0)"}
		},
		reason: "NoCandidate", says: "solo(shop-0)",
	},
	"a failover that waits for a person": {
		spoil: func(_ *failover.Observation, p *failover.Plan, _ *conditions.Reconciled) {
			p.Notes = []failover.Note{{
				Rule:   failover.RuleFailoverDue,
				Kind:   failover.Holds,
				Fact:   "a failover is due",
				Remedy: failover.Remedy{Verb: failover.VerbFailover},
			}}
		},
		reason:  "FailoverDue",
		says:    "kubectl dbpair failover shop -n ns",
		stalled: true,
	},
}

func TestReadyIsTrueOnlyWhileNothingIsLeftToDo(t *testing.T) {
	o, p, done := whole()
	ready := meta.FindStatusCondition(conditions.Conditions(o, p, done, nil), v1alpha1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || ready.Reason != conditions.ReasonMembersReady || !strings.Contains(ready.Message, "generation 4") {
		t.Errorf("a whole pair: %+v", ready)
	}
	for name, c := range spoiledPairs {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			c.spoil(&o, &p, &done)
			got := conditions.Conditions(o, p, done, nil)
			ready := meta.FindStatusCondition(got, v1alpha1.ConditionReady)
			if ready.Status != metav1.ConditionFalse || ready.Reason != c.reason || !strings.Contains(ready.Message, c.says) {
				t.Errorf("Ready %s (%s): %s", ready.Status, ready.Reason, ready.Message)
			}
			if stalled := meta.IsStatusConditionTrue(got, v1alpha1.ConditionStalled); stalled != c.stalled {
				t.Errorf("Stalled is %v, want %v", stalled, c.stalled)
			}
		})
	}
}

// An agent that is older than the operator runs the same spec.
func TestAnOlderAgentDoesNotMakeAPairUnready(t *testing.T) {
	o, p, done := whole()
	o.Members[0].Pod.Outdated = failover.OutdatedAgent
	p.Notes = []failover.Note{{Rule: failover.RuleRestartPending, Kind: failover.Holds, Fact: "shop-0 runs with a former agent image"}}
	got := conditions.Conditions(o, p, done, nil)
	if !meta.IsStatusConditionTrue(got, v1alpha1.ConditionReady) || !meta.IsStatusConditionTrue(got, v1alpha1.ConditionProgressing) {
		t.Errorf("conditions %+v", got)
	}
}

func TestEveryReasonIsDocumentedForItsStatus(t *testing.T) {
	check := func(name string, got []metav1.Condition) {
		t.Helper()
		for _, c := range got {
			meaning, known := conditions.MeaningOf(c.Type, c.Status)
			if !known || !meaning.Allows(c.Reason) {
				t.Errorf("%s: %s=%s has the reason %s, which docs/conditions.md does not have there", name, c.Type, c.Status, c.Reason)
			}
			if c.Message == "" || strings.HasSuffix(c.Message, "()") || strings.HasSuffix(c.Message, ": ") {
				t.Errorf("%s: %s=%s says %q", name, c.Type, c.Status, c.Message)
			}
		}
	}
	for name, c := range spoiledPairs {
		o, p, done := whole()
		c.spoil(&o, &p, &done)
		check(name, conditions.Conditions(o, p, done, nil))
		check(name+", decided", conditions.Conditions(o, failover.Decide(o), done, nil))
	}
	empty := failover.Observation{Now: now}
	check("nothing is known", conditions.Conditions(empty, failover.Decide(empty), conditions.Reconciled{}, nil))
	empty.Authority.Reading = failover.Missing
	empty.Members = [2]failover.Member{{Name: "shop-0"}, {Name: "shop-1"}}
	check("a new pair", conditions.Conditions(empty, failover.Decide(empty), conditions.Reconciled{}, nil))
}

func TestDocsSayWhatEachConditionMeans(t *testing.T) {
	text, err := os.ReadFile("../../docs/conditions.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := conditions.Tables(); !strings.HasSuffix(string(text), want) {
		t.Errorf("docs/conditions.md does not end with the tables of internal/status/reasons.go:\n%s", want)
	}
	for _, kind := range v1alpha1.ConditionTypes {
		if !strings.Contains(string(text), "\n## "+kind+"\n") {
			t.Errorf("condition %s has no chapter", kind)
		}
	}
}

// GitOps tools wait for objects by the rules of kstatus.
func TestKstatusReadsAPairRight(t *testing.T) {
	for name, c := range map[string]struct {
		spoil      string
		generation int64
		want       status.Status
	}{
		"a whole pair":                       {generation: 4, want: status.CurrentStatus},
		"a spec that was not observed yet":   {generation: 5, want: status.InProgressStatus},
		"a refused spec":                     {spoil: "a refused spec", generation: 4, want: status.FailedStatus},
		"a doubt":                            {spoil: "a doubt", generation: 4, want: status.FailedStatus},
		"a member with a former setting":     {spoil: "a member with a former setting", generation: 4, want: status.InProgressStatus},
		"a passive that does not apply":      {spoil: "a passive that does not apply", generation: 4, want: status.InProgressStatus},
		"a passive that may not be promoted": {spoil: "a passive that may not be promoted", generation: 4, want: status.InProgressStatus},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, done := whole()
			if c.spoil != "" {
				spoiledPairs[c.spoil].spoil(&o, &p, &done)
			}
			one := &v1alpha1.DatabasePair{
				TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DatabasePair"},
				ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "ns", Generation: c.generation},
				Status:     conditions.Render(o, p, done, v1alpha1.DatabasePairStatus{}),
			}
			body, err := runtime.DefaultUnstructuredConverter.ToUnstructured(one)
			if err != nil {
				t.Fatal(err)
			}
			got, err := status.Compute(&unstructured.Unstructured{Object: body})
			if err != nil || got.Status != c.want {
				t.Errorf("kstatus says %+v, %v, want %s", got, err, c.want)
			}
		})
	}
}
