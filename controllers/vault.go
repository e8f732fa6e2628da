package controllers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

const (
	// vaultPause is how long after the end of a vault another one is made.
	vaultPause = 20 * time.Second
	// vaultPauseDamaged is the same for a damaged backup or archive, which is read again whole.
	vaultPauseDamaged = 5 * time.Minute
)

// vaultDonor has the backup of spec.bootstrap.backup served by a pod of its own, and is what the
// first member is to copy there. What the copy waits for is kept for the status, and is an
// ErrConflict. It is idempotent and waits for nothing.
func (r *PairReconciler) vaultDonor(ctx context.Context, v *visit) (*agentapi.ForeignDonor, error) {
	if why := r.Off.refuses(v1alpha1.OperationBackup); why != "" {
		return nil, v.session.awaits(status.ReasonBackupsOff, why)
	}
	why, err := r.vaultMissing(ctx, v)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, v.session.awaits(status.ReasonSecretMissing, why)
	}
	donor, err := r.runVault(ctx, v)
	if errors.Is(err, cluster.ErrForeign) {
		return nil, v.session.awaits(status.ReasonNameConflict, err.Error())
	}
	return donor, err
}

// vaultMissing says what of the objects that spec.bootstrap.backup names is not there.
func (r *PairReconciler) vaultMissing(ctx context.Context, v *visit) (string, error) {
	const field = "spec.bootstrap.backup"
	source := v.pair.Spec.Bootstrap.Backup
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	return named.sourceMissing(ctx, source, field+".destination", field+".identitySecretRef")
}

// sourceMissing says what of the objects is not there that these two fields of a backup's source name.
func (n namedObjects) sourceMissing(
	ctx context.Context, source *v1alpha1.BackupSource, destination, identity string,
) (string, error) {
	why, err := n.missingOf(ctx, source.Destination, destination)
	if ref := source.IdentitySecretRef; why == "" && err == nil && ref != nil {
		return n.secretMissing(ctx, ref.Name, identity, ref.Key)
	}
	return why, err
}

// vaultSeen is what is there of a vault.
type vaultSeen struct {
	secret    corev1.Secret
	hasSecret bool
	job       batchv1.Job
	hasJob    bool
	// pod of the Job; nil for none.
	pod *corev1.Pod
}

// ended: it serves no more. One whose Secret is gone is as good as ended.
func (s *vaultSeen) ended() bool {
	return s.hasJob && (over(&s.job) || !terminated(s.pod).IsZero() || !s.hasSecret)
}

func (s *vaultSeen) serves() bool {
	return s.hasJob && !s.ended() && s.pod != nil && serves(s.pod)
}

// seeVault looks at the vault.
func (r *PairReconciler) seeVault(ctx context.Context, v *visit) (*vaultSeen, error) {
	seen := &vaultSeen{}
	var err error
	if seen.hasSecret, err = r.Applier.Find(ctx, v.pair, v.vaultName(), &seen.secret); err != nil {
		return nil, err
	}
	if seen.hasJob, err = r.Applier.Find(ctx, v.pair, v.vaultName(), &seen.job); err != nil || !seen.hasJob {
		return seen, err
	}
	seen.pod, err = r.vaultPod(ctx, v, &seen.job)
	return seen, err
}

// runVault brings the vault a step further, and returns it as a donor once it answers.
func (r *PairReconciler) runVault(ctx context.Context, v *visit) (*agentapi.ForeignDonor, error) {
	seen, err := r.seeVault(ctx, v)
	if err != nil {
		return nil, err
	}
	if !seen.hasJob {
		asked := vaultRequest(v.pair)
		// Without it the vault would serve, and a member copy, until the damaged object once more.
		asked.Verify = v.session.bootstrap.reason == string(jobapi.BackupDamaged)
		if err := r.startVault(ctx, v, v.pair.Spec.Bootstrap.Backup, asked, seen.hasSecret); err != nil {
			return nil, err
		}
		return nil, v.session.awaitsVault("the pod of Job " + v.names.Vault() + " is made")
	}
	switch {
	case seen.ended():
		return nil, r.endedVault(ctx, v, &seen.job, seen.pod)
	case !seen.serves():
		return nil, v.session.awaitsVault(notServing(v, seen.pod))
	}
	donor, err := r.donorOf(ctx, v, seen)
	if err != nil {
		return nil, err
	}
	v.session.bootstrap = awaited{}
	donor.Replay = replayPort(v.pair)
	return donor, nil
}

// donorOf is a vault that serves, as a member copies it.
func (r *PairReconciler) donorOf(ctx context.Context, v *visit, seen *vaultSeen) (*agentapi.ForeignDonor, error) {
	_, bundle, err := signerOf(ctx, r.Applier, v.pair)
	if err != nil {
		return nil, err
	}
	return &agentapi.ForeignDonor{
		Host:     v.names.VaultHost(),
		Port:     jobapi.PortVault,
		User:     jobapi.VaultUser,
		Password: string(seen.secret.Data[jobapi.VaultPassword]),
		CA:       string(bundle),
		Backup:   true,
	}, nil
}

func (v *visit) vaultName() types.NamespacedName {
	return types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.Vault()}
}

// startVault makes the Secret, the Service and the Job, in the order in which they need each
// other. A Secret that is left of a Job that ended is used again.
func (r *PairReconciler) startVault(
	ctx context.Context, v *visit, source *v1alpha1.BackupSource, asked jobapi.VaultRequest, hasSecret bool,
) error {
	v.session.vaultGone = false
	request, err := json.Marshal(asked)
	if err != nil {
		return fmt.Errorf("encode the request of %s: %w", v.vaultName(), err)
	}
	made := []client.Object{resources.VaultService(v.pair), resources.VaultJob(v.pair, source, r.Agent, string(request))}
	if !hasSecret {
		ca, _, err := signerOf(ctx, r.Applier, v.pair)
		if err != nil {
			return err
		}
		leaf, err := ca.Issue(pki.Vault(v.names), r.Now())
		if err != nil {
			return err
		}
		made = slices.Insert(made, 0, client.Object(resources.VaultSecret(v.pair, rand.Text(), leaf.CertPEM, leaf.KeyPEM)))
	}
	v.log.Info("a vault begins", "pair", source.Pair.Name, "backupID", source.BackupID)
	for _, o := range made {
		err := r.Client.Create(ctx, o, client.FieldOwner(cluster.FieldManager))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make %s %s: %w", kindOf(o), v.vaultName(), err)
		}
	}
	return nil
}

func vaultRequest(p *v1alpha1.DatabasePair) jobapi.VaultRequest {
	source := p.Spec.Bootstrap.Backup
	namespace := source.Pair.Namespace
	if namespace == "" {
		namespace = p.Namespace
	}
	return jobapi.VaultRequest{
		Store:    resources.PairFolder(source, namespace),
		Pair:     namespace + "/" + source.Pair.Name,
		UID:      source.Pair.UID,
		BackupID: source.BackupID,
		Identity: source.IdentitySecretRef != nil,
		Replay:   source.Target != nil,
		Target:   vaultTarget(source.Target),
	}
}

// vaultTarget is where a replay ends; empty for the end of the archive.
func vaultTarget(to *v1alpha1.RestoreTarget) jobapi.VaultTarget {
	if to == nil || to.Time == v1alpha1.LatestMoment {
		return jobapi.VaultTarget{}
	}
	return jobapi.VaultTarget{
		Time:       to.Time,
		GTID:       to.GTID,
		BeforeGTID: to.BeforeGTID,
	}
}

// replayPort is where the member replicates from after the copy; 0 without a target, when the copy is all.
func replayPort(p *v1alpha1.DatabasePair) int {
	if p.Spec.Bootstrap.Backup.Target == nil {
		return 0
	}
	return jobapi.PortReplay
}

// endedVault keeps why a vault has ended, and removes its Job some time after that, so that the
// next one is made with what was corrected meanwhile.
func (r *PairReconciler) endedVault(ctx context.Context, v *visit, job *batchv1.Job, pod *corev1.Pod) error {
	report := reportOf(pod)
	// Long ago for one that was interrupted, or whose Secret is gone. The Job fails a moment after
	// its pod has ended.
	ended := terminated(pod)
	if failed := jobCondition(job, batchv1.JobFailed); failed != nil {
		ended = failed.LastTransitionTime.Time
	}
	pause := vaultPause
	if report.Reason == jobapi.BackupDamaged || report.Reason == jobapi.ArchiveDamaged {
		pause = vaultPauseDamaged
	}
	if r.Now().Sub(ended) >= pause {
		v.log.Info("a vault is made again", "reason", report.Reason, "message", report.Message)
		if err := deleteJob(ctx, r.Client, job); err != nil {
			return err
		}
	}
	return v.session.awaits(string(report.Reason), report.Message+"; it is tried again")
}

// awaitsVault is awaits for a vault that does not serve yet. Why the last one ended says more
// until this one serves.
func (s *session) awaitsVault(fact string) error {
	if slices.Contains(jobapi.VaultReasons(), jobapi.VaultReason(s.bootstrap.reason)) {
		return s.awaits(s.bootstrap.reason, s.bootstrap.fact)
	}
	return s.awaits(status.ReasonVaultStarting, fact)
}

// vaultPod is the Job's pod, which no cache has; nil for none.
func (r *PairReconciler) vaultPod(ctx context.Context, v *visit, job *batchv1.Job) (*corev1.Pod, error) {
	var pods corev1.PodList
	err := r.Live.List(ctx, &pods, client.InNamespace(v.name.Namespace), client.MatchingLabels(resources.VaultSelector(v.name.Name)))
	if err != nil {
		return nil, fmt.Errorf("list the pods of Job %s: %w", v.vaultName(), err)
	}
	for i := range pods.Items {
		if metav1.IsControlledBy(&pods.Items[i], job) {
			return &pods.Items[i], nil
		}
	}
	return nil, nil
}

func serves(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// notServing says why a vault's pod does not serve.
func notServing(v *visit, pod *corev1.Pod) string {
	if pod == nil {
		return "Job " + v.names.Vault() + " has no pod yet"
	}
	if why := unstartable(pod); why != "" {
		return why
	}
	return "pod " + pod.Name + " does not serve the backup yet"
}

// unstartable says why a pod does not start; empty when the cluster gives no reason.
func unstartable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("pod %s is not scheduled: %s", pod.Name, c.Message)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if waiting := pod.Status.ContainerStatuses[i].State.Waiting; waiting != nil && waiting.Message != "" {
			return fmt.Sprintf("pod %s does not start: %s", pod.Name, waiting.Message)
		}
	}
	return ""
}

// terminated is when a vault's pod has ended; the zero time while it has not.
func terminated(pod *corev1.Pod) time.Time {
	if pod == nil {
		return time.Time{}
	}
	for i := range pod.Status.ContainerStatuses {
		if ended := pod.Status.ContainerStatuses[i].State.Terminated; ended != nil {
			return ended.FinishedAt.Time
		}
	}
	return time.Time{}
}

// reportOf is what a vault said at its end. Of a pod that is gone, or that said nothing, only
// that is known.
func reportOf(pod *corev1.Pod) jobapi.VaultReport {
	out := jobapi.VaultReport{Reason: jobapi.VaultFailed, Message: "the pod that serves the backup was lost"}
	if pod == nil {
		return out
	}
	for i := range pod.Status.ContainerStatuses {
		ended := pod.Status.ContainerStatuses[i].State.Terminated
		if ended == nil || ended.Message == "" {
			continue
		}
		var said jobapi.VaultReport
		if err := json.Unmarshal([]byte(ended.Message), &said); err != nil {
			said.Message = ended.Message
		}
		if !slices.Contains(jobapi.VaultReasons(), said.Reason) {
			said.Reason = jobapi.VaultFailed
		}
		said.Message = cut(strings.TrimSpace(said.Message))
		return said
	}
	return out
}

// mayHaveVault: the pair has, or had, something that a vault is made for.
func (v *visit) mayHaveVault() bool {
	spec := v.pair.Spec
	begins := spec.Bootstrap != nil && spec.Bootstrap.Backup != nil
	return begins || spec.Backup != nil || v.session.reseed.operation != ""
}

// removeVault removes what served the backup once the pair has data and no operation copies it. It
// is idempotent.
func (r *PairReconciler) removeVault(ctx context.Context, v *visit, o failover.Observation) error {
	if !v.mayHaveVault() || v.session.vaultGone || r.Off.jobs() || v.backupReseed() != nil {
		return nil
	}
	rec := o.Authority.Record
	copied := rec.Bootstrap == nil && (rec.Epoch > 0 || len(rec.Data) > 0)
	if o.Authority.Reading != failover.Read || !copied {
		return nil
	}
	var job batchv1.Job
	found, err := r.Applier.Find(ctx, v.pair, v.vaultName(), &job)
	if found && err == nil {
		err = deleteJob(ctx, r.Client, &job)
	}
	if errors.Is(err, cluster.ErrForeign) {
		err = nil
	}
	err = errors.Join(
		err,
		r.Applier.Remove(ctx, v.pair, v.vaultName(), &corev1.Service{}),
		r.Applier.Remove(ctx, v.pair, v.vaultName(), &corev1.Secret{}),
	)
	v.session.vaultGone = err == nil
	if err == nil {
		v.session.reseed = reseedVault{}
	}
	return err
}
