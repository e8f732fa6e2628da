package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// ReasonBackupAfterGap is that of the event which tells of a backup after a gap.
const ReasonBackupAfterGap = "BackupAfterGap"

// gapBackupDeadline is that of a backup after a gap: it is made once, and may have to wait for a passive.
const gapBackupDeadline = 7 * 24 * time.Hour

// backUpAfterGap makes the backup that the archive's gap asks for; it is made once for each gap.
func (r *JobReconciler) backUpAfterGap(ctx context.Context, v *jobVisit) error {
	off := r.Off.refuses(v1alpha1.OperationBackup) != "" // the condition Archiving says so
	if off || idles(v.pair) || !status.GapBackupDue(v.pair, v.ours()) {
		return nil
	}
	gap := v.pair.Status.Archive.Gap
	op := backupAfterGap(v.pair, gap.Found.Time)
	err := r.Client.Create(ctx, op, client.FieldOwner(cluster.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make operation %s: %w", op.Name, err)
	}
	log(ctx, op).Info("begun because of a gap in the archive", "found", gap.Found.Time)
	note := fmt.Sprintf("the archive of binary logs has a gap, found at %s, and no restore leads across it: %s, a backup, was begun, "+
		"and leads on behind it", gap.Found.UTC().Format(time.RFC3339), op.Name)
	r.event(v, op, warning, ReasonBackupAfterGap, note)
	return nil
}

// ours are the operations without those of a former pair of this name.
func (v *jobVisit) ours() []v1alpha1.DatabasePairOperation {
	var out []v1alpha1.DatabasePairOperation
	for i := range v.all {
		if ofFormerPair(&v.all[i], v.pair) == "" {
			out = append(out, v.all[i])
		}
	}
	return out
}

// backupAfterGap is the operation for one gap. Its name is that of the moment at which the gap was
// found.
func backupAfterGap(p *v1alpha1.DatabasePair, found time.Time) *v1alpha1.DatabasePairOperation {
	labels := resources.Labels(p.Name)
	labels[cluster.LabelByOperator] = "true"
	return &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            status.GapBackup(p.Name, found),
			Namespace:       p.Namespace,
			Labels:          labels,
			Annotations:     map[string]string{status.AnnotationGap: found.UTC().Format(time.RFC3339)},
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(p)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef:  v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)},
			Type:     v1alpha1.OperationBackup,
			Reason:   "a gap in the archive of binary logs",
			Deadline: &metav1.Duration{Duration: gapBackupDeadline},
		},
	}
}
