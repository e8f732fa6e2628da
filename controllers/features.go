package controllers

import (
	"context"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// Off are the features that an operator does without: it refuses their operations, and has
// no rights in the cluster that nothing else needs.
type Off struct {
	Checksum bool
	Repair   bool
	Backup   bool
}

// jobs reports whether no feature is left that makes Jobs.
func (o Off) jobs() bool { return o.Checksum && o.Repair && o.Backup }

// refuses says why operations of a type are not done; empty when they are.
func (o Off) refuses(t v1alpha1.OperationType) string {
	switch {
	case t == v1alpha1.OperationChecksum && o.Checksum:
		return "comparisons are turned off in this installation: set features.checksum=true in the values of its chart"
	case t == v1alpha1.OperationRepair && o.Repair:
		return "repair is turned off in this installation: set features.repair=true in the values of its chart"
	case (t.ReachesStore() || t == v1alpha1.OperationRestoreDrill) && o.Backup:
		return "backups are turned off in this installation: set features.backup=true in the values of its chart"
	}
	return ""
}

// refuse ends an operation of a feature that is off, and its Job if there is one.
func (r *JobReconciler) refuse(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation, why string) error {
	if err := r.removeJob(ctx, v, op); err != nil {
		return err
	}
	return r.finish(ctx, v, op, ending{phase: v1alpha1.OperationFailed, message: why})
}
