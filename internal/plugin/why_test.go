package plugin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

var whyTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// decidedBy is a pair whose last decision is this one.
func decidedBy(rule, kind, message string) *v1alpha1.DatabasePair {
	p := healthy()
	p.UID = "pair-uid"
	p.Status.Authority = &v1alpha1.AuthorityStatus{
		Epoch:         12,
		Holder:        "shop-0/pod-uid",
		Ledger:        "both",
		LedgerVersion: 7,
	}
	p.Status.LastDecision = &v1alpha1.LastDecision{
		Rule:    rule,
		Kind:    v1alpha1.DecisionKind(kind),
		Since:   metav1.NewTime(whyTime),
		Message: message,
	}
	return p
}

func pairEvent(name, uid, reason, message string, after time.Duration) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "default"},
		InvolvedObject: corev1.ObjectReference{Kind: "DatabasePair", Name: "shop", UID: types.UID(uid)},
		Type:           corev1.EventTypeWarning,
		Reason:         reason,
		Message:        message,
		EventTime:      metav1.NewMicroTime(whyTime.Add(after)),
	}
}

func whyOperation(name string, phase v1alpha1.OperationPhase, rule, message string, ended time.Duration) *v1alpha1.DatabasePairOperation {
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{Name: "shop"}, Type: v1alpha1.OperationSwitchover},
		Status:     v1alpha1.OperationStatus{Phase: phase, Rule: rule, Message: message},
	}
	if ended > 0 {
		at := metav1.NewMicroTime(whyTime.Add(ended))
		op.Status.CompletionTime = &at
	}
	return op
}

func TestWhy(t *testing.T) {
	doubt := decidedBy("NoTrustedCopy", "Doubts", "nobody who has every acknowledged write can be reached. Command: kubectl dbpair force-promote shop shop-1 -n default")
	doubt.Status.Primary = ""
	doubt.Status.Conditions = append(doubtful().Status.Conditions,
		condition(v1alpha1.ConditionFailoverReady, metav1.ConditionFalse, "FlapBudgetSpent", "there were 3 failovers in the last hour"),
		condition(v1alpha1.ConditionStalled, metav1.ConditionFalse, "NotStalled", "nothing waits"))
	doubt.Status.Members[0].Problem = "the node worker-1 does not answer"
	for name, p := range map[string]*v1alpha1.DatabasePair{
		"why-settled":   decidedBy("InSync", "Settled", "shop-1 could take over from shop-0"),
		"why-doubt":     doubt,
		"why-undecided": {ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "default"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, p,
				whyOperation("shop-old", v1alpha1.OperationSucceeded, "DrainForSwitchover", "shop-1 is the primary", time.Minute),
				whyOperation("shop-last", v1alpha1.OperationAbandoned, "Rollout", "it was canceled", time.Hour),
				whyOperation("shop-next", v1alpha1.OperationPending, "", "waits: shop-1 lags", 0),
				pairEvent("b", "pair-uid", "HolderSilent", "shop-0 does not answer", 2*time.Minute),
				pairEvent("a", "pair-uid", "HolderUnhealthy", "shop-0 has been silent", time.Minute),
				pairEvent("c", "another", "Deleting", "of a pair that had this name before", time.Hour))
			out, _, err := w.call(t, "", "why", "shop")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out)
		})
	}
}

// Whatever rule decided, why says what the table of rules says about it, and nothing else about
// it: in the situation of the pair, and with the runbook of a doubt.
func TestWhyExplainsEveryRule(t *testing.T) {
	for _, rule := range failover.RuleNames {
		for _, primary := range []string{"shop-0", ""} {
			p := decidedBy(string(rule), "Waits", "the fact of "+string(rule))
			p.Status.Primary = primary
			out, _, err := newWorld(t, p).call(t, "", "why", "shop", "-o", "json")
			if err != nil {
				t.Fatal(err)
			}
			var got Why
			if err := json.Unmarshal([]byte(out), &got); err != nil || got.Decision == nil {
				t.Fatalf("%s: %v in %s", rule, err, out)
			}
			want, ok := failover.Explain(rule, failover.Situation{Begun: true, Held: primary != ""})
			d := got.Decision
			if !ok || d.Says != want.Says || d.Until != want.Until || (d.Runbook != "") != want.Doubt {
				t.Errorf("%s: got %+v, want %+v", rule, d.RuleWhy, want)
			}
			text, _, err := newWorld(t, p).call(t, "", "why", "shop")
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{string(rule), want.Says, want.Until, "the fact of " + string(rule)} {
				if part == "" || !strings.Contains(text, part) {
					t.Errorf("%s: %q is missing in:\n%s", rule, part, text)
				}
			}
		}
	}
}

func TestWhyRefuses(t *testing.T) {
	for _, args := range [][]string{{"why"}, {"why", "shop", "-o", "xml"}, {"why", "other"}} {
		if out, _, err := newWorld(t, healthy()).call(t, "", args...); err == nil {
			t.Errorf("%v: printed %q", args, out)
		}
	}
}

// A rule that this plugin does not know, such as a newer operator's, is named all the same.
func TestWhyNamesAnUnknownRule(t *testing.T) {
	out, _, err := newWorld(t, decidedBy("Sometimes", "Rarely", "a fact")).call(t, "", "why", "shop")
	if err != nil || !strings.Contains(out, "Sometimes is in none of this plugin's tables") || !strings.Contains(out, "a fact") {
		t.Errorf("%v:\n%s", err, out)
	}
}
