package controllers

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentclient"
)

func askRepair(dryRun bool) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Repair = &v1alpha1.RepairParameters{Table: "app.people", DryRun: dryRun}
		if !dryRun {
			op.Spec.Confirm = "shop/4"
		}
	}
}

func TestTheOperatorPermitsARepairOfTheTableThatWasAskedFor(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("r1", v1alpha1.OperationRepair, askRepair(false))
	s.look()
	want := []string{"shop-0 r1 app.people", "shop-1 r1 app.people"}
	if !slices.Equal(s.permitted, want) || len(s.jobs()) != 1 {
		t.Fatalf("permitted %q with Jobs %v, want %q", s.permitted, s.jobs(), want)
	}
	s.look()
	if !slices.Equal(s.permitted, want) {
		t.Errorf("permitted again at once: %q", s.permitted)
	}
	s.now = s.now.Add(permitEvery)
	s.refuses = errors.New("no route to host")
	s.look()
	if len(s.permitted) != 3 {
		t.Errorf("not renewed after %s: %q", permitEvery, s.permitted)
	}
	s.is("r1", v1alpha1.OperationRunning, "")
	s.refuses, s.now = nil, s.now.Add(time.Second)
	s.look()
	if len(s.permitted) != 5 {
		t.Errorf("what failed is not tried again: %q", s.permitted)
	}
}

func TestARepairThatAgentsDoNotPermitGetsNoJob(t *testing.T) {
	s := newJobStage(t, nil)
	s.refuses = errors.New("no route to host")
	s.ask("r1", v1alpha1.OperationRepair, askRepair(false))
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}}
	if _, err := s.r.Reconcile(t.Context(), request); !errors.Is(err, s.refuses) || len(s.jobs()) != 0 {
		t.Errorf("ended with %v and Jobs %v", err, s.jobs())
	}
	s.refuses = nil
	s.look()
	if len(s.jobs()) != 1 {
		t.Errorf("no Job when the agents answer again")
	}
}

func TestAnAgentOfAnEarlierVersionNeedsNoPermission(t *testing.T) {
	s := newJobStage(t, nil)
	s.refuses = fmt.Errorf("/v1/permit-repair of agent 10.0.0.1: %w", agentclient.ErrNoSuchPath)
	s.ask("r1", v1alpha1.OperationRepair, askRepair(false))
	s.look()
	if len(s.permitted) != 2 || len(s.jobs()) != 1 {
		t.Errorf("permitted %q, Jobs %v", s.permitted, s.jobs())
	}
}

func TestWhatWritesNothingNeedsNoPermission(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("r1", v1alpha1.OperationRepair, askRepair(true))
	s.look()
	if len(s.permitted) != 0 || len(s.jobs()) != 1 {
		t.Errorf("permitted %q, Jobs %v", s.permitted, s.jobs())
	}
}
