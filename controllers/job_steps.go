package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// wait notes why an operation has not begun.
func (r *JobReconciler) wait(ctx context.Context, op *v1alpha1.DatabasePairOperation, why string) error {
	return r.change(ctx, op, func(s *v1alpha1.OperationStatus) {
		s.Phase = v1alpha1.OperationPending
		s.Message = why
	})
}

// begin notes the roles at which the operation is done, and then has it done.
func (r *JobReconciler) begin(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (time.Duration, error) {
	rec, err := r.roles(ctx, v)
	if errors.Is(err, authority.ErrNotAuthentic) {
		return lookIdle, r.wait(ctx, op, "waits until the Lease can be believed: "+err.Error())
	}
	if err != nil {
		return 0, err
	}
	settled := !rec.Holder.Nobody() && int64(rec.Epoch) == v.pair.Status.Epoch && string(rec.Holder.Member) == v.pair.Status.Primary
	if needsRoles(op) && !settled {
		return requeueSoon, r.wait(ctx, op, "waits until the roles are settled")
	}
	err = r.change(ctx, op, func(s *v1alpha1.OperationStatus) {
		now := metav1.NewMicroTime(r.Now())
		s.Phase = v1alpha1.OperationRunning
		s.Message = ""
		s.StartTime = &now
		s.Rule = ruleOf(op)
		s.Epoch = int64(rec.Epoch)
		s.From = string(rec.Holder.Member)
	})
	if err != nil {
		return 0, err
	}
	log(ctx, op).Info("an operation begins", "rule", op.Status.Rule, "epoch", rec.Epoch, "primary", rec.Holder.Member)
	return jobLook, r.makeJob(ctx, v, op, rec)
}

// makeJob makes what the Job needs and then the Job; all of it is idempotent. A Job that
// was lost is made again, at the same roles only.
func (r *JobReconciler) makeJob(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation, rec authority.Record) error {
	moved := int64(rec.Epoch) != op.Status.Epoch || string(rec.Holder.Member) != op.Status.From
	if needsRoles(op) && moved {
		return nil // the next look ends it
	}
	if busy, err := r.otherJob(ctx, v, op); busy || err != nil {
		return err
	}
	asked := requestOf(v, op, rec)
	if err := r.addPins(ctx, v, asked.Backup); err != nil {
		return fmt.Errorf("operation %s: %w", op.Name, err)
	}
	request, err := json.Marshal(asked)
	if err != nil {
		return fmt.Errorf("operation %s: encode the request: %w", op.Name, err)
	}
	if err := r.allow(ctx, v, v.names.JobName(op.UID)); err != nil {
		return err
	}
	if err := r.permit(ctx, v, op, rec); err != nil {
		return err
	}
	if err := r.certify(ctx, v, op); err != nil {
		return err
	}
	left := deadlineOf(op) - r.Now().Sub(op.CreationTimestamp.Time)
	job := resources.Job(v.pair, op, resources.JobOptions{
		Image:    r.Image,
		Deadline: left,
		Request:  string(request),
	})
	for _, o := range []object{resources.JobConfigMap(v.pair, op), job} {
		err := r.Client.Create(ctx, o, client.FieldOwner(cluster.FieldManager))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("operation %s: make its %s: %w", op.Name, kindOf(o), err)
		}
	}
	return nil
}

// otherJob reports whether a Job of another operation of the pair is still there, and
// removes it: two at once would only hinder each other, and the pair.
func (r *JobReconciler) otherJob(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (bool, error) {
	var jobs batchv1.JobList
	err := r.Client.List(ctx, &jobs, client.InNamespace(v.name.Namespace), client.MatchingLabels{resources.LabelJobOf: v.name.Name})
	if err != nil {
		return false, fmt.Errorf("list the jobs of %s: %w", v.name, err)
	}
	busy := false
	for i := range jobs.Items {
		if job := &jobs.Items[i]; job.Name != v.names.JobName(op.UID) && !over(job) {
			busy = true
			if err := deleteJob(ctx, r.Client, job); err != nil {
				return true, err
			}
		}
	}
	// A Job that is gone may have left a pod that has not ended yet. The cache holds only the
	// members' pods. The archiver's runs for as long as the pair does, and hinders nobody.
	var pods corev1.PodList
	err = r.Live.List(ctx, &pods, client.InNamespace(v.name.Namespace), client.MatchingLabels(resources.JobSelector(v.name.Name)))
	if err != nil {
		return false, fmt.Errorf("list the pods of the jobs of %s: %w", v.name, err)
	}
	for i := range pods.Items {
		phase := pods.Items[i].Status.Phase
		busy = busy || (phase != corev1.PodSucceeded && phase != corev1.PodFailed)
	}
	return busy, nil
}

// over: it has ended, and so have its pods.
func over(job *batchv1.Job) bool {
	return jobCondition(job, batchv1.JobComplete) != nil || jobCondition(job, batchv1.JobFailed) != nil
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// allow lets the Jobs of the pair reach this one ConfigMap; none when the name is empty.
func (r *JobReconciler) allow(ctx context.Context, v *jobVisit, configMap string) error {
	_, err := r.Applier.Ensure(ctx, v.pair, resources.JobRole(v.pair, configMap), &rbacv1.Role{})
	return err
}

func requestOf(v *jobVisit, op *v1alpha1.DatabasePairOperation, rec authority.Record) jobapi.Request {
	spec := &v.pair.Spec.Checksum
	out := jobapi.Request{
		Operation:   op.Name,
		Kind:        jobapi.Kind(op.Spec.Type),
		Pair:        v.pair.Name,
		Namespace:   v.pair.Namespace,
		PairUID:     pair.UID(v.pair.UID),
		Epoch:       rec.Epoch,
		Ledger:      rec.Ledger.Version,
		Primary:     rec.Holder.Member,
		Passive:     pair.PeerOf(pair.Members(v.pair.Name), rec.Holder.Member),
		Domain:      v.names.Domain(),
		Parallelism: int(spec.Parallelism),
		MaxLockTime: spec.MaxLockTime.Duration,
		MaxLag:      spec.MaxLag.Duration,
		BusyShare:   int(spec.BusyShare),
		Backup:      backupRequest(v.pair, op),

		RestoreDrill: restoreDrillRequest(v.pair, op),
	}
	table := ""
	switch {
	case op.Spec.Repair != nil:
		table = op.Spec.Repair.Table
		out.DryRun = op.Spec.Repair.DryRun
	case op.Spec.Checksum != nil:
		table = op.Spec.Checksum.Table
		out.WithValues = op.Spec.Checksum.WithValues
	}
	if schema, name, ok := strings.Cut(table, "."); ok {
		out.Table = &jobapi.Table{Schema: schema, Name: name}
		return out
	}
	for _, p := range spec.Include {
		out.Include = append(out.Include, string(p))
	}
	for _, p := range spec.Exclude {
		out.Exclude = append(out.Exclude, string(p))
	}
	return out
}

// askedBy is what a result of the operation has to be about.
func askedBy(op *v1alpha1.DatabasePairOperation) jobapi.Asked {
	out := jobapi.Asked{Operation: op.Name, Kind: jobapi.Kind(op.Spec.Type)}
	switch {
	case op.Spec.Repair != nil:
		out.Table = op.Spec.Repair.Table
		out.DryRun = op.Spec.Repair.DryRun
	case op.Spec.Checksum != nil:
		out.Table = op.Spec.Checksum.Table
	}
	return out
}

// doesWhatIsAsked is false for a Job of the right name that another user made.
func doesWhatIsAsked(job *batchv1.Job, op *v1alpha1.DatabasePairOperation) bool {
	var request jobapi.Request
	err := json.Unmarshal([]byte(resources.JobRequest(job)), &request)
	return err == nil && metav1.IsControlledBy(job, op) && request.Asked() == askedBy(op)
}

// follow copies what the Job says into the operation's status.
func (r *JobReconciler) follow(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) (time.Duration, error) {
	key := types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.JobName(op.UID)}
	var m corev1.ConfigMap
	if err := cluster.Read(ctx, r.Client, r.Live, key, &m); client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("read ConfigMap %s: %w", key, err)
	}
	progress, result, err := answers(&m)
	if err != nil {
		return 0, fmt.Errorf("operation %s: %w", op.Name, err)
	}
	if result != nil {
		return lookAtOnce, r.conclude(ctx, v, op, &m, *result)
	}
	var job batchv1.Job
	err = r.Client.Get(ctx, key, &job)
	if err == nil && !doesWhatIsAsked(&job, op) {
		return lookAtOnce, r.finish(ctx, v, op, ending{
			phase:   v1alpha1.OperationFailed,
			message: fmt.Sprintf("its Job %s was not made by the operator for this operation: delete the Job and ask again", job.Name),
		})
	}
	if apierrors.IsNotFound(err) {
		rec, err := r.roles(ctx, v)
		if err != nil {
			return 0, err
		}
		return requeueSoon, r.makeJob(ctx, v, op, rec)
	}
	if err != nil {
		return 0, fmt.Errorf("read Job %s: %w", key, err)
	}
	if failed := jobCondition(&job, batchv1.JobFailed); failed != nil {
		message := fmt.Sprintf("its Job %s failed: %s", job.Name, failed.Message)
		if progress != nil && progress.Note != "" {
			message += ": " + progress.Note
		}
		return lookAtOnce, r.finish(ctx, v, op, ending{phase: v1alpha1.OperationFailed, message: message})
	}
	if err := r.keepPermitting(ctx, v, op); err != nil {
		return 0, err
	}
	r.keepCertified(ctx, v, op)
	if progress == nil {
		return jobLook, nil
	}
	if r.stands(op, progress.Beat) {
		r.event(v, op, warning, "JobStandsStill",
			fmt.Sprintf("%s: its Job %s has not stirred for %s and is made again", op.Name, job.Name, jobPatience))
		return jobLook, r.removeJob(ctx, v, op)
	}
	return jobLook, r.change(ctx, op, func(s *v1alpha1.OperationStatus) { s.Progress = progressOf(*progress) })
}

// stands reports whether the Job has written nothing for longer than jobPatience, by this
// process's clock: its process is stopped, or cut off, and holds snapshots on the members.
func (r *JobReconciler) stands(op *v1alpha1.DatabasePairOperation, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.beats == nil {
		r.beats = map[types.UID]beat{}
	}
	now := r.Now()
	if last, ok := r.beats[op.UID]; ok && last.n == n {
		return now.Sub(last.since) > jobPatience
	}
	r.beats[op.UID] = beat{n: n, since: now}
	return false
}

// conclude ends an operation whose Job came to an end of its own.
func (r *JobReconciler) conclude(
	ctx context.Context,
	v *jobVisit,
	op *v1alpha1.DatabasePairOperation,
	m *corev1.ConfigMap,
	p jobapi.Result,
) error {
	end := ending{message: p.Message}
	if want := askedBy(op); p.Asked != want {
		end.phase = v1alpha1.OperationFailed
		end.message = fmt.Sprintf("the result in ConfigMap %s is not believed: it is about a %s, asked for was a %s", m.Name, p.Asked, want)
		return r.finish(ctx, v, op, end)
	}
	switch p.Outcome {
	case jobapi.Done:
		end.phase = v1alpha1.OperationSucceeded
	case jobapi.RolesChanged:
		end.phase = v1alpha1.OperationAbandoned
	case jobapi.Refused, jobapi.Failed:
		end.phase = v1alpha1.OperationFailed
	default:
		end.phase = v1alpha1.OperationFailed
		end.message = fmt.Sprintf("its Job ended in %q, which this operator does not know: %s", p.Outcome, p.Message)
	}
	// Without rows it compared nothing, and says nothing about them.
	says := p.Rows > 0 || p.DifferingRows > 0 || p.RestoreDrill != nil
	if p.Outcome == jobapi.Done || says {
		end.result = resultOf(op.Spec.Type, p, m.Name)
	}
	return r.finish(ctx, v, op, end)
}

// finish writes the end of an operation down, and tells of it.
func (r *JobReconciler) finish(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation, end ending) error {
	if err := r.removeCertificate(ctx, v, op); err != nil {
		return err
	}
	err := r.change(ctx, op, func(s *v1alpha1.OperationStatus) {
		now := metav1.NewMicroTime(r.Now())
		s.Phase = end.phase
		s.Message = end.message
		s.Result = end.result
		s.CompletionTime = &now
		if s.StartTime == nil {
			s.StartTime, s.Rule = &now, ruleOf(op)
		}
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.beats, op.UID)
	delete(r.permits, op.UID)
	delete(r.certified, op.UID)
	r.mu.Unlock()
	log(ctx, op).Info("an operation ended", "phase", end.phase, "message", end.message)
	operationTotal.WithLabelValues(v.name.Namespace, v.name.Name, string(op.Spec.Type), string(end.phase), "").Inc()
	kind := normal
	if end.phase != v1alpha1.OperationSucceeded {
		kind = warning
	}
	r.event(v, op, kind, string(op.Spec.Type)+string(end.phase), op.Name+": "+end.message)
	if end.result.Drift() > 0 && op.Spec.Type == v1alpha1.OperationChecksum {
		r.event(v, op, warning, driftReason, op.Name+": "+end.message+" (kubectl dbpair status "+v.name.Name+")")
	}
	return nil
}

// change patches the status if something changed, conditional on what was read.
func (r *JobReconciler) change(ctx context.Context, op *v1alpha1.DatabasePairOperation, f func(*v1alpha1.OperationStatus)) error {
	base := op.DeepCopy()
	f(&op.Status)
	if equality.Semantic.DeepEqual(base.Status, op.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, op, patch, client.FieldOwner(cluster.FieldManager)); err != nil {
		return fmt.Errorf("write the status of operation %s: %w", op.Name, err)
	}
	return nil
}

// removeJob ends the operation's Job, if there is one.
func (r *JobReconciler) removeJob(ctx context.Context, v *jobVisit, op *v1alpha1.DatabasePairOperation) error {
	if r.Off.jobs() {
		return nil // the operator has no rights on Jobs; this one ends at its deadline
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: v.name.Namespace, Name: v.names.JobName(op.UID)}}
	return deleteJob(ctx, r.Client, job)
}

// deleteJob has a Job and its pods go; they are not waited for.
func deleteJob(ctx context.Context, c client.Client, job *batchv1.Job) error {
	err := c.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Job %s: %w", job.Name, err)
	}
	return nil
}
