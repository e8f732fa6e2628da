package plugin

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestSwitchoverMakesAnOperation(t *testing.T) {
	w := newWorld(t, healthy())
	p := healthy()
	passive := "shop-1"
	if p.Status.Primary == passive {
		passive = "shop-0"
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"to a stranger":         {[]string{"--to", "shop-7"}, "is no member of pair"},
		"to the primary itself": {[]string{"--to", p.Status.Primary}, "is the primary of pair"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := w.call(t, "", append([]string{"switchover", "shop"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	_, _, err := w.call(t, "", "switchover", "shop", "--to", passive, "--old-primary", "Demote", "--drain-timeout", "3s", "--deadline", "20s", "--reason", "a new kernel")
	if err != nil {
		t.Fatal(err)
	}
	all := w.operations(t)
	if len(all) != 1 {
		t.Fatalf("%d operations", len(all))
	}
	spec := all[0].Spec
	given := spec.Switchover
	fits := spec.Type == v1alpha1.OperationSwitchover && spec.Target == passive && spec.Reason == "a new kernel" && spec.Confirm == confirmation(p)
	if !fits || given == nil || given.OldPrimary != v1alpha1.DemotePrimary || given.OnTimeout != "" ||
		given.DrainTimeout.Duration != 3*time.Second || spec.Deadline.Duration != 20*time.Second {
		t.Errorf("spec %+v, parameters %+v", spec, given)
	}
}

func TestASwitchoverIsCanceledByName(t *testing.T) {
	w := newWorld(t, healthy())
	if _, _, err := w.call(t, "", "cancel", "shop"); err == nil || !strings.Contains(err.Error(), "has no unfinished switchover") {
		t.Errorf("without one: %v", err)
	}
	if _, _, err := w.call(t, "", "switchover", "shop"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.call(t, "", "cancel", "shop", "another"); err == nil || !strings.Contains(err.Error(), `named "another"`) {
		t.Errorf("of another name: %v", err)
	}
	if _, _, err := w.call(t, "", "cancel", "shop", "--reason", "not now"); err != nil {
		t.Fatal(err)
	}
	op := w.operations(t)[0]
	if got := op.Annotations[v1alpha1.AnnotationCancel]; got != "not now" {
		t.Errorf("the annotation is %q", got)
	}
	out, _, err := w.call(t, "", "history", "shop")
	if err != nil || !strings.Contains(out, op.Name) || !strings.Contains(out, "Switchover") || !strings.Contains(out, "Pending") {
		t.Errorf("history %q, %v", out, err)
	}
}

func TestAPausedPairIsNotSwitchedOver(t *testing.T) {
	p := healthy()
	p.Spec.Paused = true
	w := newWorld(t, p)
	if _, _, err := w.call(t, "", "switchover", "shop"); err == nil || !strings.Contains(err.Error(), "is paused") {
		t.Errorf("got %v", err)
	}
	var list v1alpha1.DatabasePairOperationList
	if err := w.client.List(t.Context(), &list, client.InNamespace("default")); err != nil || len(list.Items) != 0 {
		t.Errorf("%d operations, %v", len(list.Items), err)
	}
}

func TestADryRunSaysWhatEachSessionWouldLose(t *testing.T) {
	var out strings.Builder
	renderSessions(&out, []agentapi.Session{
		{
			ID:        7,
			User:      "app",
			Host:      "10.0.0.7",
			InFlight:  true,
			Age:       90 * time.Second,
			Statement: "UPDATE t SET v = 1",
		},
		{ID: 8, User: "app", Host: "10.0.0.8"},
		{
			ID:        9,
			User:      "root",
			InFlight:  true,
			DDL:       true,
			Age:       time.Second,
			Statement: "ALTER TABLE t ADD c INT",
		},
	}, 10*time.Second)
	for _, want := range []string{
		"1 idle sessions would be closed", "7        app", "its transaction, unless it ends within 10s", "nothing: a change of a definition is waited for",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
