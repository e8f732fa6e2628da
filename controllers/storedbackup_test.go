package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const (
	storedID   = "20260102T030405Z-0a1b2c3d"
	storedName = "shop-20260102t030405z-0a1b2c3d"
)

// backup makes a DatabasePairBackup from YAML.
func (s *scene) backup(name, spec string) error {
	s.Helper()
	o := &unstructured.Unstructured{}
	text := "apiVersion: dbpair.io/v1alpha1\nkind: DatabasePairBackup\n" +
		"metadata: {name: " + name + ", namespace: " + s.namespace + "}\nspec: " + spec
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		s.Fatalf("%v in\n%s", err, text)
	}
	return s.Create(s.ctx, o)
}

func TestWrongObjectsOfBackupsAreRefusedByField(t *testing.T) {
	s := newScene(t)
	for name, c := range map[string]struct{ name, spec, says string }{
		"no pair":           {storedName, "{backupID: " + storedID + "}", "spec.pairRef"},
		"no UID":            {storedName, "{pairRef: {name: shop}, backupID: " + storedID + "}", "spec.pairRef.uid"},
		"no ID":             {storedName, "{pairRef: {name: shop, uid: u}}", "spec.backupID"},
		"no ID but a path":  {storedName, "{pairRef: {name: shop, uid: u}, backupID: ../x}", "spec.backupID must be an ID"},
		"another name":      {"other", "{pairRef: {name: shop, uid: u}, backupID: " + storedID + "}", "metadata.name must be <pair>-<backupID in lower case>"},
		"an unknown policy": {storedName, "{pairRef: {name: shop, uid: u}, backupID: " + storedID + ", deletionPolicy: Keep}", "spec.deletionPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.backup(c.name, c.spec)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	s.must(s.backup(storedName, "{pairRef: {name: shop, uid: u}, backupID: "+storedID+"}"))
	b := &v1alpha1.DatabasePairBackup{}
	s.must(s.Get(s.ctx, s.key(storedName), b))
	if b.Spec.DeletionPolicy != v1alpha1.RetainBackup || b.Spec.Pinned != nil {
		t.Errorf("defaults %+v", b.Spec)
	}
	for says, patch := range map[string]string{
		"spec.pairRef cannot be changed":  `{"spec": {"pairRef": {"uid": "other"}}}`,
		"spec.backupID cannot be changed": `{"spec": {"backupID": "20260102T030405Z-0a1b2c3e"}}`,
	} {
		err := s.Patch(s.ctx, b.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	for says, spec := range map[string]v1alpha1.OperationSpec{
		"spec.expire is for type Expire only": {
			Type:   v1alpha1.OperationBackup,
			Expire: &v1alpha1.ExpireParameters{BackupID: storedID},
		},
		"spec.backup is for type Backup only": {
			Type:   v1alpha1.OperationExpire,
			Backup: &v1alpha1.BackupParameters{Pin: true},
		},
		"spec.expire.force needs spec.expire.backupID": {
			Type:   v1alpha1.OperationExpire,
			Expire: &v1alpha1.ExpireParameters{Force: true},
		},
		"spec.expire.backupID must be an ID": {
			Type:   v1alpha1.OperationExpire,
			Expire: &v1alpha1.ExpireParameters{BackupID: "latest"},
		},
	} {
		spec.PairRef.Name = "shop"
		if _, err := s.newOperation(spec); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// storedAt makes the object of a backup of a pair with the policy Delete, and waits for the finalizer.
func (s *scene) storedAt(uid types.UID, location string) {
	s.Helper()
	s.must(s.backup(storedName, fmt.Sprintf("{pairRef: {name: shop, uid: %s}, backupID: %s, deletionPolicy: Delete}", uid, storedID)))
	b := &v1alpha1.DatabasePairBackup{}
	s.must(s.Get(s.ctx, s.key(storedName), b))
	s.must(s.Status().Patch(s.ctx, b, client.RawPatch(types.MergePatchType, []byte(`{"status": {"location": "`+location+`"}}`))))
	s.eventually("the finalizer", func() error {
		s.must(s.Get(s.ctx, s.key(storedName), b))
		if len(b.Finalizers) != 1 {
			return fmt.Errorf("finalizers %v", b.Finalizers)
		}
		return nil
	})
}

func (s *scene) storedIsGone() {
	s.Helper()
	s.eventually("the end of the object", func() error {
		err := s.Get(s.ctx, s.key(storedName), &v1alpha1.DatabasePairBackup{})
		if err == nil {
			return errors.New("it is still there")
		}
		return client.IgnoreNotFound(err)
	})
}

// The operator does this with its own rights.
func TestADeletedObjectOfABackupWaitsForItsOperationAndNotForAPairThatIsGone(t *testing.T) {
	s := newScene(t)
	stored := &v1alpha1.DatabasePairBackup{ObjectMeta: metav1.ObjectMeta{Name: storedName, Namespace: s.namespace}}
	s.storedAt("of-a-pair-that-is-gone", "file:///backups/x")
	s.must(s.Delete(s.ctx, stored.DeepCopy()))
	s.storedIsGone()

	p, err := s.pair("shop", plain+"\nbackup: {destination: {volume: {claimName: backups}}}")
	s.must(err)
	s.storedAt(p.UID, "file:///backups/"+s.namespace+".shop/"+string(p.UID))
	s.must(s.Delete(s.ctx, stored.DeepCopy()))
	s.eventually("the operation", func() error {
		b := &v1alpha1.DatabasePairBackup{}
		s.must(s.Get(s.ctx, s.key(storedName), b))
		if b.Status.Operation == "" {
			return fmt.Errorf("no operation in %+v", b.Status)
		}
		op := &v1alpha1.DatabasePairOperation{}
		s.must(s.Get(s.ctx, s.key(b.Status.Operation), op))
		if op.Spec.Type != v1alpha1.OperationExpire || op.Spec.Expire.BackupID != storedID {
			return fmt.Errorf("operation %+v", op.Spec)
		}
		return nil
	})
	s.must(s.Delete(s.ctx, p))
	s.storedIsGone()
}
