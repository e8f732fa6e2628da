package controllers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/catalog"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// StoredBackupReconciler keeps a DatabasePairBackup for each backup that a Job found in the store of a pair. It
// reaches no store itself, and has a queue of its own: nothing it does can hold up a failover.
type StoredBackupReconciler struct {
	Client client.Client
	// Live reads from the API server.
	Live   client.Reader
	Events recorder.EventRecorder
	Now    clock
}

// Setup registers the controller. An operator without backups has no rights on its objects.
func (r *StoredBackupReconciler) Setup(mgr ctrl.Manager, concurrent int) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("databasepairbackup").
		For(&v1alpha1.DatabasePair{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: min(concurrent, 8), ReconciliationTimeout: visitTimeout}).
		Watches(&v1alpha1.DatabasePairOperation{}, handler.EnqueueRequestsFromMapFunc(pairOfRecord),
			builder.WithPredicates(endedJob())).
		Watches(&v1alpha1.DatabasePairBackup{}, handler.EnqueueRequestsFromMapFunc(pairOfBackup),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of backups: %w", err)
	}
	return nil
}

// endedJob lets operations through whose Job has reached the store and ended.
func endedJob() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		op, ok := o.(*v1alpha1.DatabasePairOperation)
		return ok && op.Spec.Type.ReachesStore() && op.Status.Phase.Terminal()
	})
}

func pairOfBackup(_ context.Context, o client.Object) []reconcile.Request {
	b, ok := o.(*v1alpha1.DatabasePairBackup)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: b.Namespace, Name: b.Spec.PairRef.Name}}}
}

// backupVisit is one look at the backups of one pair.
type backupVisit struct {
	name types.NamespacedName
	pair *v1alpha1.DatabasePair
	// objects are those of all pairs that have had this name.
	objects []v1alpha1.DatabasePairBackup
	// operations are those of this very pair, the last to end first.
	operations []v1alpha1.DatabasePairOperation
}

// Reconcile makes the objects of one pair what the store was last seen to have. Those of a pair that is gone, or
// that has no spec.backup any more, stay: so do the backups.
func (r *StoredBackupReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	v, err := r.visit(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	again, err := r.deletions(ctx, v)
	if err == nil {
		err = r.finalizers(ctx, v)
	}
	out := ctrl.Result{RequeueAfter: again}
	unknown := v.pair == nil || v.pair.DeletionTimestamp != nil || v.pair.Spec.Backup == nil
	if err != nil || unknown {
		return out, quiet(err)
	}
	view, err := r.view(ctx, v)
	if err != nil || view == nil {
		return out, err
	}
	return out, quiet(r.apply(ctx, catalog.Plan(v.objects, *view)))
}

func (r *StoredBackupReconciler) visit(ctx context.Context, name types.NamespacedName) (*backupVisit, error) {
	v := &backupVisit{name: name}
	p := &v1alpha1.DatabasePair{}
	switch err := r.Client.Get(ctx, name, p); {
	case err == nil:
		v.pair = p
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read pair %s: %w", name, err)
	}
	var objects v1alpha1.DatabasePairBackupList
	if err := r.Client.List(ctx, &objects, client.InNamespace(name.Namespace)); err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	v.objects = slices.DeleteFunc(objects.Items, func(b v1alpha1.DatabasePairBackup) bool { return b.Spec.PairRef.Name != name.Name })
	if v.pair == nil {
		return v, nil
	}
	var operations v1alpha1.DatabasePairOperationList
	err := r.Client.List(ctx, &operations, client.InNamespace(name.Namespace), client.MatchingFields{indexPair: name.Name})
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	v.operations = slices.DeleteFunc(operations.Items, func(op v1alpha1.DatabasePairOperation) bool {
		return ofFormerPair(&op, v.pair) != ""
	})
	slices.SortStableFunc(v.operations, func(a, b v1alpha1.DatabasePairOperation) int { return cmp.Compare(endOf(&b), endOf(&a)) })
	return v, nil
}

// endOf is when an operation ended, in nanoseconds; 0 for one that has not.
func endOf(op *v1alpha1.DatabasePairOperation) int64 {
	if op.Status.CompletionTime == nil {
		return 0
	}
	return op.Status.CompletionTime.UnixNano()
}

// catalogsTried bounds how many ConfigMaps are read for a catalog.
const catalogsTried = 3

// view is what the Job that reached the store last has written down; without such a ConfigMap what the pair's status
// has of its last backup, and nil before the first.
func (r *StoredBackupReconciler) view(ctx context.Context, v *backupVisit) (*catalog.View, error) {
	tried := 0
	for i := range v.operations {
		op := &v.operations[i]
		if !op.Spec.Type.ReachesStore() || op.Status.CompletionTime == nil || tried == catalogsTried {
			continue
		}
		tried++
		found, err := r.readCatalog(ctx, v, op)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return viewOf(v, *found, op.Status.CompletionTime.Time), nil
		}
	}
	if s := v.pair.Status.Backup; s != nil && s.Last != nil && s.LastSuccessTime != nil {
		return viewOf(v, catalogOf(s.Last), s.LastSuccessTime.Time), nil
	}
	return nil, nil
}

// readCatalog reads the ConfigMap of an operation's Job; nil when it has no catalog. No cache holds it.
func (r *StoredBackupReconciler) readCatalog(
	ctx context.Context, v *backupVisit, op *v1alpha1.DatabasePairOperation,
) (*jobapi.Catalog, error) {
	var m corev1.ConfigMap
	key := types.NamespacedName{Namespace: v.name.Namespace, Name: resources.NamesOf(v.pair).JobName(op.UID)}
	err := r.Live.Get(ctx, key, &m)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read ConfigMap %s: %w", key, err)
	}
	text, ok := m.Data[jobapi.KeyCatalog]
	if err != nil || !ok || !metav1.IsControlledBy(&m, op) {
		return nil, nil
	}
	var out jobapi.Catalog
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		logf.FromContext(ctx).Info("what a Job says of the store cannot be read", "configMap", key, "reason", err.Error())
		return nil, nil
	}
	return &out, nil
}

// catalogOf is what a status says of the store.
func catalogOf(last *v1alpha1.BackupResult) jobapi.Catalog {
	out := jobapi.Catalog{
		Store: last.Location,
		Total: int(last.StoredTotal),
	}
	for _, one := range last.Stored {
		out.Backups = append(out.Backups, jobapi.CatalogBackup{StoredBackup: one})
	}
	return out
}

func viewOf(v *backupVisit, found jobapi.Catalog, at time.Time) *catalog.View {
	out := &catalog.View{
		Namespace: v.name.Namespace,
		Pair:      v.name.Name,
		UID:       string(v.pair.UID),
		Store:     resources.BackupStore(v.pair),
		Catalog:   found,
		Found:     at,
		Taken:     map[string]v1alpha1.BackupResult{},
	}
	for i := range v.operations {
		if result := v.operations[i].Status.Result; result != nil && result.Backup != nil {
			out.Taken[result.Backup.ID] = *result.Backup
		}
	}
	return out
}

// apply makes the changes; one that fails does not keep the others.
func (r *StoredBackupReconciler) apply(ctx context.Context, changes catalog.Changes) error {
	var errs []error
	for i := range changes.Create {
		errs = append(errs, r.create(ctx, &changes.Create[i]))
	}
	for i := range changes.Update {
		errs = append(errs, r.writeStatus(ctx, &changes.Update[i].Object, changes.Update[i].Status))
	}
	for i := range changes.Remove {
		b := &changes.Remove[i]
		logf.FromContext(ctx).Info("a backup is no longer in the store", "backup", b.Spec.BackupID)
		if err := r.release(ctx, b); err != nil {
			errs = append(errs, err)
			continue
		}
		uid := b.UID
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, b, client.Preconditions{UID: &uid})); err != nil {
			errs = append(errs, fmt.Errorf("delete the object of backup %s: %w", b.Spec.BackupID, err))
		}
	}
	return errors.Join(errs...)
}

func (r *StoredBackupReconciler) create(ctx context.Context, b *v1alpha1.DatabasePairBackup) error {
	status := b.Status
	err := r.Client.Create(ctx, b, client.FieldOwner(cluster.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return nil // the cache does not have it yet
	}
	if err != nil {
		return fmt.Errorf("make the object of backup %s: %w", b.Spec.BackupID, err)
	}
	logf.FromContext(ctx).Info("a backup was found in the store", "backup", b.Spec.BackupID)
	return r.writeStatus(ctx, b, status)
}

// writeStatus patches the status of an object.
func (r *StoredBackupReconciler) writeStatus(
	ctx context.Context, b *v1alpha1.DatabasePairBackup, status v1alpha1.StoredBackupStatus,
) error {
	base := b.DeepCopy()
	b.Status = status
	err := r.Client.Status().Patch(ctx, b, client.MergeFrom(base), client.FieldOwner(cluster.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of backup %s: %w", b.Spec.BackupID, err)
	}
	return nil
}
