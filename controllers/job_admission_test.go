package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

func (s *scene) newOperation(spec v1alpha1.OperationSpec) (*v1alpha1.DatabasePairOperation, error) {
	op := &v1alpha1.DatabasePairOperation{ObjectMeta: metav1.ObjectMeta{GenerateName: "o-", Namespace: s.namespace}, Spec: spec}
	op.Spec.PairRef.Name = "shop"
	return op, s.Create(s.ctx, op)
}

func TestWrongComparisonsAndRepairsAreRefused(t *testing.T) {
	s := newScene(t)
	minute := &metav1.Duration{Duration: time.Second}
	for name, c := range map[string]struct {
		spec v1alpha1.OperationSpec
		says string
	}{
		"a comparison":                       {v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum}, ""},
		"a comparison of a table":            {v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum, Checksum: &v1alpha1.ChecksumParameters{Table: "app.t"}}, ""},
		"of a table without a schema":        {v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum, Checksum: &v1alpha1.ChecksumParameters{Table: "t"}}, "spec.checksum.table must be <schema>.<table>"},
		"parameters of another type":         {v1alpha1.OperationSpec{Type: v1alpha1.OperationFailover, Checksum: &v1alpha1.ChecksumParameters{}}, "spec.checksum is for type Checksum only"},
		"a repair of nothing":                {v1alpha1.OperationSpec{Type: v1alpha1.OperationRepair, Confirm: "shop/1"}, "spec.repair belongs to type Repair"},
		"a repair that nobody confirmed":     {v1alpha1.OperationSpec{Type: v1alpha1.OperationRepair, Repair: &v1alpha1.RepairParameters{Table: "app.t"}}, "spec.confirm is required for a repair that writes"},
		"a repair that was confirmed":        {v1alpha1.OperationSpec{Type: v1alpha1.OperationRepair, Confirm: "shop/1", Repair: &v1alpha1.RepairParameters{Table: "app.t"}}, ""},
		"a repair that writes nothing":       {v1alpha1.OperationSpec{Type: v1alpha1.OperationRepair, Repair: &v1alpha1.RepairParameters{Table: "app.t", DryRun: true}}, ""},
		"a repair of a table without a name": {v1alpha1.OperationSpec{Type: v1alpha1.OperationRepair, Repair: &v1alpha1.RepairParameters{Table: "app.", DryRun: true}}, "spec.repair.table must be"},
		"a deadline of a second":             {v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum, Deadline: minute}, "spec.deadline must be from 1m to 720h"},
		"a deadline of a failover":           {v1alpha1.OperationSpec{Type: v1alpha1.OperationFailover, Deadline: &metav1.Duration{Duration: time.Hour}}, "spec.deadline is for the types Checksum, Repair, Backup, Expire, Drill and Switchover"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.newOperation(c.spec)
			if (c.says == "" && err != nil) || (c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says))) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// What the controller of Jobs makes is made here with the operator's own rights: a right
// that it lacks, and one that it may not give away, shows.
func TestTheOperatorMayRunJobs(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	n := resources.NamesOf(p)
	for _, o := range []struct {
		object client.Object
		name   string
	}{
		{&corev1.ServiceAccount{}, n.Job()}, {&rbacv1.Role{}, n.Job()}, {&rbacv1.RoleBinding{}, n.Job()},
	} {
		s.eventually("what Jobs need", func() error { return s.Get(s.ctx, s.key(o.name), o.object) })
	}
	op, err := s.newOperation(v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum})
	s.must(err)
	s.eventually("the pair has no members, so the comparison waits", func() error {
		s.must(s.Get(s.ctx, client.ObjectKeyFromObject(op), op))
		if op.Status.Phase != v1alpha1.OperationPending || !strings.Contains(op.Status.Message, "until the pair is Available") {
			return errNot(op.Status.Phase, op.Status.Message)
		}
		return nil
	})
	var internal corev1.Secret
	s.must(s.Get(s.ctx, s.key(n.Internal()), &internal))
	if len(internal.Data["checksum"]) == 0 || len(internal.Data["repair"]) == 0 {
		t.Error("the Secret has no passwords for Jobs")
	}

	operator, err := client.New(env.as(operatorUser, "system:serviceaccounts", "system:serviceaccounts:"+operatorNamespace), client.Options{Scheme: app.Scheme()})
	s.must(err)
	job := resources.Job(p, op, resources.JobOptions{
		Image: resources.Image{Name: "example.test/dbpair:1", PullPolicy: corev1.PullIfNotPresent}, Deadline: time.Hour, Request: "{}",
	})
	s.must(operator.Create(s.ctx, resources.JobConfigMap(p, op)))
	s.must(operator.Create(s.ctx, job))
	certificate := resources.JobTLSSecret(p, op, []byte("a"), []byte("b"), []byte("c"))
	s.must(operator.Create(s.ctx, certificate))
	renewed := certificate.DeepCopy()
	renewed.Data["tls.crt"] = []byte("d")
	s.must(operator.Patch(s.ctx, renewed, client.MergeFrom(certificate)))
	s.must(operator.Delete(s.ctx, renewed))
	s.must(operator.Apply(s.ctx, resources.JobRole(p, job.Name), client.FieldOwner(cluster.FieldManager), client.ForceOwnership))
	var jobs batchv1.JobList
	s.must(operator.List(s.ctx, &jobs, client.InNamespace(s.namespace)))
	s.must(operator.Delete(s.ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground)))

	// The Job's own identity reaches the one ConfigMap and nothing else.
	self, err := client.New(env.as("system:serviceaccount:"+s.namespace+":"+n.Job(), "system:serviceaccounts"), client.Options{Scheme: app.Scheme()})
	s.must(err)
	var m corev1.ConfigMap
	s.eventually("the Job may read its ConfigMap", func() error { return self.Get(s.ctx, s.key(job.Name), &m) })
	base := m.DeepCopy()
	m.Data = map[string]string{"progress.json": "{}"}
	s.must(self.Patch(s.ctx, &m, client.MergeFrom(base)))
	for what, err := range map[string]error{
		"another ConfigMap": self.Get(s.ctx, s.key(n.Config()), &m), "a Secret": self.Get(s.ctx, s.key(n.Internal()), &corev1.Secret{}),
		"the pair": self.Get(s.ctx, s.key("shop"), &v1alpha1.DatabasePair{}), "a deletion": self.Delete(s.ctx, base),
	} {
		if err == nil {
			t.Errorf("a Job may reach %s", what)
		}
	}
}

func errNot(phase v1alpha1.OperationPhase, message string) error {
	return fmt.Errorf("phase %s, %q", phase, message)
}
