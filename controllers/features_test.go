package controllers

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func repairOf(table string) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Confirm = "shop/4"
		op.Spec.Repair = &v1alpha1.RepairParameters{Table: table}
	}
}

func TestAnOperationOfAFeatureThatIsOffIsRefused(t *testing.T) {
	s := newJobStage(t, nil)
	s.r.Off = Off{Repair: true}
	s.ask("fix", v1alpha1.OperationRepair, repairOf("app.people"))
	s.look()
	s.is("fix", v1alpha1.OperationFailed, "repair is turned off in this installation: set features.repair=true")
	if jobs := s.jobs(); len(jobs) > 0 || len(s.permitted) > 0 {
		t.Errorf("Jobs %v, permissions %v", jobs, s.permitted)
	}
	s.ask("compare", v1alpha1.OperationChecksum, nil)
	s.look()
	s.is("compare", v1alpha1.OperationRunning, "")
}

// A repair that runs when its feature is turned off loses its Job.
func TestTurningAFeatureOffEndsWhatRuns(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("fix", v1alpha1.OperationRepair, repairOf("app.people"))
	s.look()
	s.is("fix", v1alpha1.OperationRunning, "")
	if len(s.jobs()) != 1 {
		t.Fatalf("Jobs %v", s.jobs())
	}
	s.r.Off = Off{Repair: true}
	s.look()
	s.is("fix", v1alpha1.OperationFailed, "features.repair=true")
	if jobs := s.jobs(); len(jobs) > 0 {
		t.Errorf("Jobs %v", jobs)
	}
}

// noJobs is an API server on which the operator has no rights on Jobs.
type noJobs struct {
	client.Client
	t *testing.T
}

func (c noJobs) none(o any) {
	c.t.Helper()
	switch o.(type) {
	case *batchv1.Job, *batchv1.JobList:
		c.t.Errorf("a %T is asked for", o)
	}
}

func (c noJobs) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.none(o)
	return c.Client.Get(ctx, key, o, opts...)
}

func (c noJobs) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c.none(list)
	return c.Client.List(ctx, list, opts...)
}

func (c noJobs) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	c.none(o)
	return c.Client.Create(ctx, o, opts...)
}

func (c noJobs) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	c.none(o)
	return c.Client.Delete(ctx, o, opts...)
}

func TestWithoutAnyFeatureOfJobsNoneIsTouched(t *testing.T) {
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) {
		p.Spec.Checksum.Schedule = "* * * * *"
		p.CreationTimestamp = metav1.NewTime(p.CreationTimestamp.Add(-10 * time.Minute))
	})
	s.r.Client = noJobs{Client: s.c, t: t}
	s.r.Off = Off{Checksum: true, Repair: true, Backup: true}
	s.look()
	var made v1alpha1.DatabasePairOperationList
	if err := s.c.List(t.Context(), &made); err != nil || len(made.Items) > 0 {
		t.Errorf("the schedule made %d operations (%v)", len(made.Items), err)
	}
	s.ask("compare", v1alpha1.OperationChecksum, nil)
	s.ask("fix", v1alpha1.OperationRepair, repairOf("app.people"))
	s.look()
	s.look()
	s.is("compare", v1alpha1.OperationFailed, "comparisons are turned off in this installation: set features.checksum=true")
	s.is("fix", v1alpha1.OperationFailed, "features.repair=true")
}
