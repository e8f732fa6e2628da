package controllers

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/status"
)

// reconciled says whether this generation of the spec is carried out, and if not, why.
func (r *PairReconciler) reconciled(v *visit) status.Reconciled {
	report := v.reported()
	refused := r.refused(v, report)
	done := status.Reconciled{Done: report.err == nil && !v.pair.Spec.Paused}
	switch {
	case report.err != nil:
		done.Fact = report.err.Error()
		if errors.Is(report.err, cluster.ErrForeign) {
			done.Reason = RuleNameConflict
		}
	case refused != "":
		done.Done = false
		done.Reason = ReasonSpecRefused
		done.Fact = refused + "; what runs stays as it is until the spec is corrected"
	case report.generation != v.pair.Generation:
		done.Done = false
		done.Fact = fmt.Sprintf("the objects of the pair do not follow generation %d of the spec yet", v.pair.Generation)
	case report.trying:
		done.Done = false
		done.Fact = "spec.mysql.config is being tried by a member's mysqld before it is published"
	case v.pair.Spec.Paused:
		done.Fact = "spec.paused is set: nothing is changed"
	case report.notGrown != "":
		done.Done = false
		done.Reason = ReasonSpecRefused
		done.Fact = report.notGrown
	case v.unprocessed != "":
		done.Done = false
		done.Fact = v.unprocessed
	case v.unsettled != "":
		done.Done = false
		done.Fact = v.unsettled
	}
	return done
}

// reported is the last report about the objects around the pair, or one about no generation.
func (v *visit) reported() childrenReport {
	if v.report == nil {
		return childrenReport{}
	}
	return *v.report
}

// refused names the fields of the spec that are not carried out; empty for none.
func (r *PairReconciler) refused(v *visit, report childrenReport) string {
	if report.generation == v.pair.Generation {
		return report.refused
	}
	return r.Allowed.refusal(v.pair)
}

func (r *PairReconciler) writeStatus(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) error {
	done := r.reconciled(v)
	done.Checksum = status.Compared(v.pair.Status.Checksum, v.ours())
	done.StaleAfter, done.ScheduleProblem = staleAfter(v.pair, o.Now)
	if why := r.Off.refuses(v1alpha1.OperationChecksum); why != "" && v.pair.Spec.Checksum.Schedule != "" {
		done.ScheduleProblem = why
	}
	done.Backup = status.BackedUp(v.pair, v.ours())
	done.BackupStaleAfter, done.BackupProblem = r.backupSchedule(v.pair, o.Now)
	done.RestoreDrillStaleAfter, done.RestoreDrillProblem = r.restoreDrillSchedule(v.pair, o.Now)
	done.Archive = r.archive(ctx, v, o.Now)
	r.tellArchived(ctx, v, o, done.Archive)
	done.Router = status.Router{
		Wanted: v.pair.Spec.Router.Enabled,
		Pods:   v.reported().router,
	}
	done.Bootstrap = status.Bootstrap{
		Spec:   v.pair.Spec.Bootstrap,
		Reason: v.session.bootstrap.reason,
		Fact:   v.session.bootstrap.fact,
	}
	next := status.Render(o, plan, done, v.pair.Status)
	next.LastFailover = lastFailover(v)
	next.Drill = drilled(v, o.Now)
	next.VolumeSize = volumeSize(v.claims, v.names.Claim)
	next.BinlogVolumeSize = volumeSize(v.claims, v.names.BinlogClaim)
	setMetrics(v.name, o, next)
	setArchiveMetrics(v.name, done.Archive, o.Now)
	wrote, err := status.Write(ctx, r.Client, v.pair, next, v.session.reported.last, o.Now)
	if wrote {
		v.session.reported.last = o.Now
	}
	return err
}
