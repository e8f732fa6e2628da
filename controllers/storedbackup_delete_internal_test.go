package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/catalog"
)

const thirdBackup = "20260102T050000Z-00000003"

// deletable is a stage with three backups of which the first has the policy Delete.
func deletable(t *testing.T) *backupStage {
	t.Helper()
	s := newBackupStage(t)
	s.ended("b1", nil, thirdBackup, secondBackup, firstBackup)
	s.look()
	s.policy(firstBackup, v1alpha1.DeleteBackup)
	return s
}

// policy sets the deletion policy of an object, and has the controller see it.
func (s *backupStage) policy(id string, policy v1alpha1.BackupDeletionPolicy) {
	s.Helper()
	b := s.object(id)
	b.Spec.DeletionPolicy = policy
	s.must(s.c.Update(s.Context(), b))
	s.look()
}

// delete deletes an object as a person does, and waits as long as the controller does.
func (s *backupStage) delete(ids ...string) {
	s.Helper()
	for _, id := range ids {
		s.must(s.c.Delete(s.Context(), s.object(id)))
	}
	s.look()
	s.clock = time.Now().Add(catalog.Settle + time.Second)
	s.look()
}

// expiries are the operations that remove backups.
func (s *backupStage) expiries() []v1alpha1.DatabasePairOperation {
	s.Helper()
	var list v1alpha1.DatabasePairOperationList
	s.must(s.c.List(s.Context(), &list))
	var out []v1alpha1.DatabasePairOperation
	for i := range list.Items {
		if list.Items[i].Spec.Type == v1alpha1.OperationExpire {
			out = append(out, list.Items[i])
		}
	}
	return out
}

// expired ends the one operation that removes a backup.
func (s *backupStage) expired(phase v1alpha1.OperationPhase, message string) {
	s.Helper()
	op := s.expiries()[0]
	op.Status.Phase = phase
	op.Status.Message = message
	s.must(s.c.Status().Update(s.Context(), &op))
	s.look()
}

func (s *backupStage) told() string { return strings.Join(s.events.list, "\n") }

func TestDeletingAnObjectWithThePolicyDeleteRemovesItsBackup(t *testing.T) {
	s := deletable(t)
	s.must(s.c.Delete(t.Context(), s.object(firstBackup)))
	s.look()
	if ops := s.expiries(); len(ops) > 0 {
		t.Fatalf("operations at once: %v", ops)
	}
	s.clock = time.Now().Add(catalog.Settle + time.Second)
	s.look()
	ops := s.expiries()
	if len(ops) != 1 || ops[0].Spec.Expire.BackupID != firstBackup || ops[0].Spec.Expire.Force || ops[0].Spec.PairRef.UID != "pair-uid" {
		t.Fatalf("operations %+v", ops)
	}
	if b := s.object(firstBackup); b.Status.Operation != ops[0].Name {
		t.Errorf("the object names operation %q", b.Status.Operation)
	}
	s.look()
	if len(s.expiries()) != 1 {
		t.Error("there is a second operation")
	}
	s.ended("b2", nil, thirdBackup, secondBackup)
	s.expired(v1alpha1.OperationSucceeded, "removed")
	s.look()
	if got := s.ids(); got != secondBackup+" "+thirdBackup || !strings.Contains(s.told(), "BackupRemoved") {
		t.Errorf("there are %s; told %s", got, s.told())
	}
}

// What the Job refuses stays: the object goes, so that nothing hangs, and comes back.
func TestAnObjectWhoseBackupStaysComesBack(t *testing.T) {
	s := deletable(t)
	s.delete(firstBackup)
	before := s.object(firstBackup).UID
	s.expired(v1alpha1.OperationFailed, "it is the only complete backup")
	s.look()
	b := s.object(firstBackup)
	if b.UID == before || b.DeletionTimestamp != nil || b.Spec.DeletionPolicy != v1alpha1.RetainBackup {
		t.Errorf("the object is %+v", b)
	}
	if !strings.Contains(s.told(), "Warning BackupKept") || !strings.Contains(s.told(), "it is the only complete backup") {
		t.Errorf("told %s", s.told())
	}
}

// Each of these deletes objects with the policy Delete, and nobody asked for the removal of their backups.
func TestNoBackupIsRemovedWithItsPairOrItsNamespaceOrMostOfTheOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(s *backupStage)
		delete []string
		says   string
	}{
		"the pair is gone": {func(s *backupStage) { s.must(s.c.Delete(s.Context(), s.pair())) }, []string{firstBackup}, "its pair is gone"},
		"the pair is going": {func(s *backupStage) {
			p := s.pair()
			p.Finalizers = []string{"example.com/other"}
			s.must(s.c.Update(s.Context(), p))
			s.must(s.c.Delete(s.Context(), p))
		}, []string{firstBackup}, "its pair is gone"},
		"the namespace is going": {func(s *backupStage) {
			var ns corev1.Namespace
			s.must(s.c.Get(s.Context(), types.NamespacedName{Name: "ns"}, &ns))
			ns.Finalizers = []string{"example.com/other"}
			s.must(s.c.Update(s.Context(), &ns))
			s.must(s.c.Delete(s.Context(), &ns))
		}, []string{firstBackup}, "its namespace is being deleted"},
		"the pair has another store": {func(s *backupStage) {
			p := s.pair()
			p.Spec.Backup.Destination.Volume = nil
			p.Spec.Backup.Destination.GCS = &v1alpha1.GCSDestination{Bucket: "other"}
			s.must(s.c.Update(s.Context(), p))
		}, []string{firstBackup}, "names another store"},
		"the pair has no backups any more": {func(s *backupStage) {
			p := s.pair()
			p.Spec.Backup = nil
			s.must(s.c.Update(s.Context(), p))
		}, []string{firstBackup}, "no spec.backup any more"},
		"two of three at once": {func(s *backupStage) { s.policy(secondBackup, v1alpha1.DeleteBackup) }, []string{firstBackup, secondBackup}, "2 of 3 backups"},
		"a pinned one": {func(s *backupStage) {
			b := s.object(firstBackup)
			yes := true
			b.Spec.Pinned = &yes
			s.must(s.c.Update(s.Context(), b))
		}, []string{firstBackup}, "it is pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			s := deletable(t)
			tc.change(s)
			s.delete(tc.delete...)
			if ops := s.expiries(); len(ops) > 0 {
				t.Errorf("operations %+v", ops)
			}
			for _, id := range tc.delete {
				var b v1alpha1.DatabasePairBackup
				err := s.c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: catalog.Name("shop", id)}, &b)
				if client.IgnoreNotFound(err) != nil || (err == nil && b.DeletionTimestamp != nil) {
					t.Errorf("backup %s: %v, its object is still held: %v", id, err, b.Finalizers)
				}
			}
			if !strings.Contains(s.told(), tc.says) {
				t.Errorf("told %s, want %q", s.told(), tc.says)
			}
		})
	}
}

// What retention removed is no order to remove anything.
func TestTheOperatorsOwnDeletionRemovesNoBackup(t *testing.T) {
	s := deletable(t)
	s.ended("b2", nil, thirdBackup, secondBackup)
	s.look()
	s.clock = time.Now().Add(time.Hour)
	s.look()
	if got := s.ids(); got != secondBackup+" "+thirdBackup || len(s.expiries()) > 0 {
		t.Errorf("there are %s, operations %v", got, s.expiries())
	}
}

func TestOnlyAnObjectWithThePolicyDeleteIsHeld(t *testing.T) {
	s := deletable(t)
	if f := s.object(firstBackup).Finalizers; len(f) != 1 {
		t.Errorf("finalizers %v with Delete", f)
	}
	s.policy(firstBackup, v1alpha1.RetainBackup)
	for _, id := range []string{firstBackup, secondBackup} {
		if f := s.object(id).Finalizers; len(f) > 0 {
			t.Errorf("finalizers %v with Retain", f)
		}
	}
}
