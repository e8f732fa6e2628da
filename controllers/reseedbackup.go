package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// reseedVault is what the last look at the backup for a re-seed found. It may be lost: the next look
// finds it again.
type reseedVault struct {
	// operation that it is served for; empty for none.
	operation string
	backup    failover.ServedBackup
}

// backupReseed is the oldest unfinished re-seed of this pair from a backup; nil for none.
func (v *visit) backupReseed() *v1alpha1.DatabasePairOperation {
	for i := range v.operations {
		op := &v.operations[i]
		unfinished := !op.Status.Phase.Terminal()
		if unfinished && op.Spec.Type == v1alpha1.OperationReseed && op.Spec.From == v1alpha1.ReseedFromBackup && ofFormerPair(op, v.pair) == "" {
			return op
		}
	}
	return nil
}

// serveds gives the operations that copy a backup what is known of it.
func (s *session) serveds(operations []failover.Operation) {
	for i := range operations {
		if op := &operations[i]; op.Backup != nil && op.Name == s.reseed.operation {
			known := s.reseed.backup
			op.Backup = &known
		}
	}
}

// serveReseed brings the vault of the re-seed that is asked for a step further, and keeps what it has
// come to for the next decision. It is idempotent and waits for nothing.
func (r *PairReconciler) serveReseed(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) error {
	op := v.backupReseed()
	if op == nil || endsNow(plan, op.Name) {
		return nil
	}
	known := &v.session.reseed
	if known.operation == op.Name && known.backup.Failed {
		return nil // for good
	}
	backup, err := r.servedFor(ctx, v, o, op)
	if errors.Is(err, cluster.ErrForeign) {
		backup = failover.ServedBackup{Fact: err.Error()}
		err = nil
	}
	if err != nil {
		return err
	}
	*known = reseedVault{
		operation: op.Name,
		backup:    backup,
	}
	return nil
}

// endsNow: what was just done has ended the operation.
func endsNow(plan failover.Plan, operation string) bool {
	if len(plan.Steps) == 0 {
		return false
	}
	note, ok := plan.Steps[0].(failover.NoteOperation)
	return ok && note.Note.Name == operation && note.Note.Phase.Terminal()
}

// servedFor is what the backup has come to that an operation is to copy.
func (r *PairReconciler) servedFor(
	ctx context.Context, v *visit, o failover.Observation, op *v1alpha1.DatabasePairOperation,
) (failover.ServedBackup, error) {
	if why := r.cannotServeOwn(v); why != "" {
		return failover.ServedBackup{Failed: true, Fact: why}, nil
	}
	purged, heard := purgedOfHolder(o)
	if !heard {
		return failover.ServedBackup{Fact: "the primary does not say which binary logs it has purged"}, nil
	}
	seen, err := r.seeVault(ctx, v)
	if err != nil {
		return failover.ServedBackup{}, err
	}
	if !seen.hasJob {
		return r.startReseedVault(ctx, v, jobapi.VaultReseed{Operation: op.Name, Purged: purged.String()}, seen.hasSecret)
	}
	starting := failover.ServedBackup{Fact: notServing(v, seen.pod)}
	// Another operation's, or one that was made before the primary purged more, while nothing is given up.
	asked := reseedOf(&seen.job)
	begun := o.Authority.Record.Seeding != nil || op.Status.Phase == v1alpha1.OperationRunning
	outdated := !begun && !parsedSet(asked.Purged).Covers(purged)
	if asked.Operation != op.Name || outdated {
		return starting, deleteJob(ctx, r.Client, &seen.job)
	}
	switch {
	case seen.ended():
		report := reportOf(seen.pod)
		return failover.ServedBackup{Failed: true, Fact: fmt.Sprintf("%s: %s", report.Reason, report.Message)}, nil
	case seen.serves():
		return failover.ServedBackup{Served: true}, nil
	}
	return starting, nil
}

// cannotServeOwn says why the pair's own backups cannot be served at all; empty when they can.
func (r *PairReconciler) cannotServeOwn(v *visit) string {
	if v.pair.Spec.Backup == nil {
		return "spec.from is Backup, and the pair has no spec.backup: leave spec.from out to copy the primary"
	}
	return r.Off.refuses(v1alpha1.OperationBackup)
}

// startReseedVault makes the vault unless something is missing that it needs.
func (r *PairReconciler) startReseedVault(
	ctx context.Context, v *visit, reseed jobapi.VaultReseed, hasSecret bool,
) (failover.ServedBackup, error) {
	source := resources.OwnBackup(v.pair)
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	why, err := named.sourceMissing(ctx, source, "spec.backup.destination", "spec.backup.encryption.identitySecretRef")
	if err != nil {
		return failover.ServedBackup{}, err
	}
	if why != "" {
		return failover.ServedBackup{Failed: true, Fact: why}, nil
	}
	asked := jobapi.VaultRequest{
		Store:    resources.PairFolder(source, source.Pair.Namespace),
		Pair:     source.Pair.Namespace + "/" + source.Pair.Name,
		UID:      source.Pair.UID,
		BackupID: source.BackupID,
		Identity: source.IdentitySecretRef != nil,
		Reseed:   &reseed,
	}
	made := failover.ServedBackup{Fact: "the pod of Job " + v.names.Vault() + " is made"}
	return made, r.startVault(ctx, v, source, asked, hasSecret)
}

// reseedDonor is the backup that is served, as a member copies it; an ErrConflict while none is.
func (r *PairReconciler) reseedDonor(ctx context.Context, v *visit) (*agentapi.ForeignDonor, error) {
	seen, err := r.seeVault(ctx, v)
	if err != nil {
		return nil, err
	}
	if !seen.serves() {
		return nil, fmt.Errorf("%w: %s", execute.ErrConflict, notServing(v, seen.pod))
	}
	return r.donorOf(ctx, v, seen)
}

// purgedOfHolder is what is in no binary log of the primary any more, and whether it says so.
func purgedOfHolder(o failover.Observation) (purged gtid.Set, heard bool) {
	for i := range o.Members {
		m := &o.Members[i]
		if m.Name != o.Authority.Record.Holder.Member {
			continue
		}
		if !m.Heard() || m.State.Server == nil {
			return gtid.Set{}, false
		}
		purged, err := gtid.Parse(m.State.Server.PurgedGTIDs)
		return purged, err == nil
	}
	return gtid.Set{}, false
}

// reseedOf is what a vault's Job was made for; empty for a Job that was made for something else.
func reseedOf(job *batchv1.Job) jobapi.VaultReseed {
	var asked jobapi.VaultRequest
	for _, container := range job.Spec.Template.Spec.Containers {
		for _, env := range container.Env {
			if env.Name == jobapi.EnvVault {
				_ = json.Unmarshal([]byte(env.Value), &asked) // what is no request is no re-seed's
			}
		}
	}
	if asked.Reseed == nil {
		return jobapi.VaultReseed{}
	}
	return *asked.Reseed
}

// parsedSet is a set of GTIDs; empty for what is none.
func parsedSet(text string) gtid.Set {
	set, _ := gtid.Parse(text) // the operator wrote it
	return set
}
