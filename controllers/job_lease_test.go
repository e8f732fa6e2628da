package controllers

import (
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/resources"
)

// unsign takes the signature away.
func unsign(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationSignature) }

// forge writes another ledger version under the signature, as a user who may write Leases can.
func (s *jobStage) forge(l *coordinationv1.Lease) {
	s.Helper()
	signature := l.Annotations[lease.AnnotationSignature]
	rec, err := lease.Parse(l)
	if err != nil {
		s.Fatal(err)
	}
	rec.Ledger = authority.Ledger{Version: rec.Ledger.Version + 1, State: authority.Solo, First: rec.Ledger.First}
	if err := lease.Render(rec, l); err != nil {
		s.Fatal(err)
	}
	l.Annotations[lease.AnnotationSignature] = signature
}

// TestALeaseThatNoOperatorSignedBeginsNoJob: anyone who may write Leases could otherwise have rows
// written at roles that the pair does not have.
func TestALeaseThatNoOperatorSignedBeginsNoJob(t *testing.T) {
	for name, change := range map[string]func(*jobStage, *coordinationv1.Lease){
		"without a signature":       func(_ *jobStage, l *coordinationv1.Lease) { unsign(l) },
		"changed under a signature": (*jobStage).forge,
	} {
		t.Run(name, func(t *testing.T) {
			s := newJobStage(t, nil)
			l := s.lease(4, "shop-0")
			change(s, l)
			s.r.Leases = clientset.NewClientset(l)
			s.ask("r1", v1alpha1.OperationRepair, askRepair(false))
			s.look()
			if len(s.jobs()) != 0 || len(s.permitted) != 0 {
				t.Errorf("Jobs %v, permitted %q", s.jobs(), s.permitted)
			}
			s.is("r1", v1alpha1.OperationPending, "not signed by the operator of this pair")
			s.r.Leases = clientset.NewClientset(s.lease(4, "shop-0"))
			s.look()
			s.is("r1", v1alpha1.OperationRunning, "")
			if len(s.jobs()) != 1 {
				t.Errorf("no Job by a Lease that is signed: %v", s.jobs())
			}
		})
	}
}

func TestALeaseOfAFormerPairBeginsNoJob(t *testing.T) {
	s := newJobStage(t, nil)
	s.uid = "former"
	s.r.Leases = clientset.NewClientset(s.lease(4, "shop-0"))
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	s.is("c1", v1alpha1.OperationPending, "former")
	if len(s.jobs()) != 0 {
		t.Errorf("Jobs %v", s.jobs())
	}
}

// TestARepairIsNotPermittedFurtherByAForgedLease: its Job goes on until what it was permitted
// runs out.
func TestARepairIsNotPermittedFurtherByAForgedLease(t *testing.T) {
	s := newJobStage(t, nil)
	s.ask("r1", v1alpha1.OperationRepair, askRepair(false))
	s.look()
	before := slices.Clone(s.permitted)
	l := s.lease(4, "shop-0")
	s.forge(l)
	s.r.Leases = clientset.NewClientset(l)
	s.now = s.now.Add(permitEvery)
	s.look()
	if !slices.Equal(before, s.permitted) {
		t.Errorf("permitted by a forged Lease: %q", s.permitted[len(before):])
	}
	s.is("r1", v1alpha1.OperationRunning, "")
}

// TestAPairOfAnOperatorThatDidNotSignHasJobs: until the Secret says that the Lease is signed,
// one without a signature counts.
func TestAPairOfAnOperatorThatDidNotSignHasJobs(t *testing.T) {
	s := newJobStage(t, nil)
	var secret corev1.Secret
	if err := s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "shop-ca"}, &secret); err != nil {
		t.Fatal(err)
	}
	delete(secret.Data, resources.KeyLeaseSigned)
	if err := s.c.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	l := s.lease(4, "shop-0")
	unsign(l)
	s.r.Leases = clientset.NewClientset(l)
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	s.is("c1", v1alpha1.OperationRunning, "")
}
