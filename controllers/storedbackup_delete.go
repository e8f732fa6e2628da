package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/catalog"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
)

const (
	// backupFinalizer keeps an object with the policy Delete until its backup is removed from the store, or stays there.
	backupFinalizer = "dbpair.io/backup"
	// backupKept is the reason of the event which says that a backup stays though its object was deleted.
	backupKept = "BackupKept"
	// backupRemoved is that of the event which says that it is removed from the store.
	backupRemoved = "BackupRemoved"
)

// errPairReplaced: the cache still has a former pair of the name.
var errPairReplaced = errors.New("another pair took its name a moment ago")

// finalizers puts the finalizer on objects with the policy Delete, and takes it off others.
func (r *StoredBackupReconciler) finalizers(ctx context.Context, v *backupVisit) error {
	var errs []error
	for i := range v.objects {
		b := &v.objects[i]
		if b.DeletionTimestamp != nil {
			continue
		}
		base := b.DeepCopy()
		changed := false
		if b.Spec.DeletionPolicy == v1alpha1.DeleteBackup {
			changed = controllerutil.AddFinalizer(b, backupFinalizer)
		} else {
			changed = controllerutil.RemoveFinalizer(b, backupFinalizer)
		}
		if changed {
			errs = append(errs, r.patch(ctx, base, b))
		}
	}
	return errors.Join(errs...)
}

// patch writes the finalizers of an object, conditional on what was read.
func (r *StoredBackupReconciler) patch(ctx context.Context, base, b *v1alpha1.DatabasePairBackup) error {
	err := r.Client.Patch(ctx, b, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("change the finalizers of backup %s: %w", b.Spec.BackupID, err)
	}
	return nil
}

// release lets an object go.
func (r *StoredBackupReconciler) release(ctx context.Context, b *v1alpha1.DatabasePairBackup) error {
	base := b.DeepCopy()
	if !controllerutil.RemoveFinalizer(b, backupFinalizer) {
		return nil
	}
	return r.patch(ctx, base, b)
}

// deletions brings the deletion of objects a step further, and says when to look again; 0 for not at all.
func (r *StoredBackupReconciler) deletions(ctx context.Context, v *backupVisit) (time.Duration, error) {
	var again time.Duration
	var errs []error
	var around *catalog.Surroundings
	for i := range v.objects {
		b := &v.objects[i]
		if b.DeletionTimestamp == nil || !controllerutil.ContainsFinalizer(b, backupFinalizer) {
			continue
		}
		if op := v.operation(expireName(b)); op != nil {
			errs = append(errs, r.followExpire(ctx, v, b, op))
			continue
		}
		if around == nil {
			s, err := r.surroundings(ctx, v)
			if err != nil {
				return 0, err
			}
			around = &s
		}
		waits, err := r.judge(ctx, v, b, *around)
		if waits {
			again = catalog.Settle
		}
		errs = append(errs, err)
	}
	return again, errors.Join(errs...)
}

func (r *StoredBackupReconciler) surroundings(ctx context.Context, v *backupVisit) (catalog.Surroundings, error) {
	out := catalog.Surroundings{
		Now: r.Now(),
	}
	// The objects lose their finalizers one by one while they are judged.
	for i := range v.objects {
		out.Objects = append(out.Objects, *v.objects[i].DeepCopy())
	}
	var namespace corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: v.name.Namespace}, &namespace); err != nil {
		return out, fmt.Errorf("read namespace %s: %w", v.name.Namespace, err)
	}
	out.NamespaceEnding = namespace.DeletionTimestamp != nil
	if v.pair == nil {
		return out, nil
	}
	// What the cache has of the pair may be older than its deletion.
	var live v1alpha1.DatabasePair
	err := r.Live.Get(ctx, v.name, &live)
	if client.IgnoreNotFound(err) != nil {
		return out, fmt.Errorf("read pair %s: %w", v.name, err)
	}
	if err != nil || live.DeletionTimestamp != nil {
		return out, nil
	}
	if live.UID != v.pair.UID {
		return out, fmt.Errorf("pair %s: %w", v.name, errPairReplaced)
	}
	out.PairUID = string(live.UID)
	if live.Spec.Backup != nil {
		out.Store = resources.BackupStore(&live)
	}
	return out, nil
}

// judge begins the removal of a backup, or lets its object go, or waits.
func (r *StoredBackupReconciler) judge(
	ctx context.Context, v *backupVisit, b *v1alpha1.DatabasePairBackup, s catalog.Surroundings,
) (waits bool, err error) {
	verdict, why := catalog.Judge(b, s)
	switch verdict {
	case catalog.Wait:
		return true, nil
	case catalog.Keep:
		return false, r.keep(ctx, v, b, why)
	case catalog.Remove:
	}
	op := expireOperation(v.pair, b)
	err = r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager))
	switch {
	case apierrors.IsAlreadyExists(err):
		return false, nil // the cache does not have it yet
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, r.keep(ctx, v, b, "its namespace is being deleted")
	case err != nil:
		return false, fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	logf.FromContext(ctx).Info("a backup is removed, since its object was deleted", "backup", b.Spec.BackupID, "operation", op.Name)
	status := b.Status
	status.Operation = op.Name
	return false, r.writeStatus(ctx, b, status)
}

// keep lets an object go whose backup stays in the store. As long as the pair reaches that store the object is made again.
func (r *StoredBackupReconciler) keep(ctx context.Context, v *backupVisit, b *v1alpha1.DatabasePairBackup, why string) error {
	if err := r.release(ctx, b); err != nil {
		return err
	}
	if why == "" {
		return nil
	}
	logf.FromContext(ctx).Info("a backup stays in the store, though its object was deleted", "backup", b.Spec.BackupID, "reason", why)
	r.event(v, b, warning, backupKept, fmt.Sprintf("backup %s stays in %s: %s", b.Spec.BackupID, b.Status.Location, why))
	return nil
}

// followExpire lets an object go once the operation that removes its backup has ended.
func (r *StoredBackupReconciler) followExpire(
	ctx context.Context, v *backupVisit, b *v1alpha1.DatabasePairBackup, op *v1alpha1.DatabasePairOperation,
) error {
	if !op.Status.Phase.Terminal() {
		return nil
	}
	if op.Status.Phase != v1alpha1.OperationSucceeded {
		return r.keep(ctx, v, b, op.Name+": "+op.Status.Message)
	}
	if err := r.release(ctx, b); err != nil {
		return err
	}
	r.event(v, b, normal, backupRemoved, fmt.Sprintf("backup %s: %s: %s", b.Spec.BackupID, op.Name, op.Status.Message))
	return nil
}

// event tells of something about a backup: at its pair, or where there is none at its object.
func (r *StoredBackupReconciler) event(v *backupVisit, b *v1alpha1.DatabasePairBackup, kind, reason, note string) {
	var regarding runtime.Object = b
	var related runtime.Object
	if v.pair != nil {
		regarding = v.pair
		related = b
	}
	r.Events.Eventf(regarding, related, kind, reason, reason, "%s", shortNote(note))
}

// operation is that of a name; nil for none.
func (v *backupVisit) operation(name string) *v1alpha1.DatabasePairOperation {
	for i := range v.operations {
		if v.operations[i].Name == name {
			return &v.operations[i]
		}
	}
	return nil
}

// expireName is that of the operation which removes the backup of an object: an object that is made again has another.
func expireName(b *v1alpha1.DatabasePairBackup) string {
	sum := sha256.Sum256([]byte(b.UID))
	return b.Spec.PairRef.Name + "-expire-" + hex.EncodeToString(sum[:5])
}

func expireOperation(p *v1alpha1.DatabasePair, b *v1alpha1.DatabasePairBackup) *v1alpha1.DatabasePairOperation {
	labels := resources.Labels(p.Name)
	labels[cluster.LabelByOperator] = "true"
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            expireName(b),
			Namespace:       p.Namespace,
			Labels:          labels,
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)},
			Type:    v1alpha1.OperationExpire,
			Reason:  "DatabasePairBackup " + b.Name + " was deleted",
			Expire: &v1alpha1.ExpireParameters{
				BackupID: b.Spec.BackupID,
				Force:    b.Annotations[v1alpha1.AnnotationForceRemoval] == "true",
			},
		},
	}
}
