package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// ensureArchive makes what archives the pair's binary logs, or removes it; nothing mounts a member's volume but the member.
// It is idempotent.
func (r *childrenReconciler) ensureArchive(ctx context.Context, v *childrenVisit) error {
	if r.Off.Backup {
		return nil // without the right to read or remove a Deployment
	}
	name := types.NamespacedName{Namespace: v.pair.Namespace, Name: v.names.Archive()}
	if !resources.ArchiveWanted(v.pair) || ownVolume(v.pair) != "" {
		return errors.Join(
			r.Applier.Remove(ctx, v.pair, name, &appsv1.Deployment{}),
			r.Applier.Remove(ctx, v.pair, name, &corev1.Secret{}),
		)
	}
	if err := r.ensureArchiveCertificate(ctx, v); err != nil {
		return err
	}
	if err := r.ensureArchiveReports(ctx, v); err != nil {
		return err
	}
	deployment, err := resources.ArchiveDeployment(v.pair, r.Agent)
	if err != nil {
		return err
	}
	return r.ensure(ctx, v, deployment, &appsv1.Deployment{})
}

func (r *childrenReconciler) ensureArchiveCertificate(ctx context.Context, v *childrenVisit) error {
	data, err := r.readSecret(ctx, v, v.names.Archive())
	if err != nil {
		return err
	}
	leaf := pki.Leaf{CertPEM: data[corev1.TLSCertKey], KeyPEM: data[corev1.TLSPrivateKeyKey]}
	if certificateDue(v.material.authority, v.pair, leaf, pki.Archive(), r.Now()) != "" {
		if leaf, err = v.material.authority.Issue(pki.Archive(), r.Now()); err != nil {
			return err
		}
	}
	return r.ensure(ctx, v, resources.ArchiveSecret(v.pair, v.material.bundle, leaf.CertPEM, leaf.KeyPEM), &corev1.Secret{})
}

// ensureArchiveReports makes the ConfigMap that the archiver writes, and its right to. What is in
// the ConfigMap is the archiver's.
func (r *childrenReconciler) ensureArchiveReports(ctx context.Context, v *childrenVisit) error {
	if err := r.ensureArchiveConfigMap(ctx, v); err != nil {
		return err
	}
	return errors.Join(
		r.ensure(ctx, v, resources.ArchiveRole(v.pair), &rbacv1.Role{}),
		r.ensure(ctx, v, resources.ArchiveRoleBinding(v.pair), &rbacv1.RoleBinding{}),
	)
}

func (r *childrenReconciler) ensureArchiveConfigMap(ctx context.Context, v *childrenVisit) error {
	wish := resources.ArchiveConfigMap(v.pair)
	name := client.ObjectKeyFromObject(wish)
	var live corev1.ConfigMap
	found, err := r.Applier.Find(ctx, v.pair, name, &live)
	if err != nil {
		return err
	}
	if !found {
		err := r.Client.Create(ctx, wish, client.FieldOwner(cluster.FieldManager))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make ConfigMap %s: %w", name, err)
		}
		return nil
	}
	reporter, wanted := wish.Annotations[resources.AnnotationReporter]
	if live.Annotations[resources.AnnotationReporter] == reporter {
		return nil
	}
	var value any // null removes it
	if wanted {
		value = reporter
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{resources.AnnotationReporter: value}}})
	if err != nil {
		return err
	}
	if err := r.Client.Patch(ctx, wish, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(cluster.FieldManager)); err != nil {
		return fmt.Errorf("change who may write ConfigMap %s: %w", name, err)
	}
	return nil
}

// archive is what is known of a pair's archive. Why its pod does not run is found out only if the
// archive is behind.
func (r *PairReconciler) archive(ctx context.Context, v *visit, now time.Time) status.Archive {
	if !resources.ArchiveWanted(v.pair) {
		return status.Archive{}
	}
	out := status.Archive{
		Wanted: true,
		Limit:  archiveLimit(v.pair.Spec.Backup.Binlog.FlushInterval.Duration),
	}
	if why := r.Off.refuses(v1alpha1.OperationBackup); why != "" {
		out.Reason = status.ReasonBackupsOff
		out.Fact = why
		return out
	}
	report, err := r.archiveReport(ctx, v)
	if err != nil {
		out.Fact = err.Error()
		return out
	}
	out.Report = report
	out = out.WithOperations(v.name.Name, v.ours())
	if !out.Behind(now) {
		return out
	}
	out.Reason, out.Fact, err = r.archiveMissing(ctx, v)
	if err != nil {
		out.Fact = err.Error()
	}
	return out
}

// archiveLimit is how far an archive may be behind: two segments, and a change of roles.
func archiveLimit(flush time.Duration) time.Duration {
	const least = time.Minute
	return max(least, 3*flush)
}

// archiveReport is what the archiver wrote last; nil before the first report.
func (r *PairReconciler) archiveReport(ctx context.Context, v *visit) (*jobapi.ArchiveReport, error) {
	var board corev1.ConfigMap
	name := types.NamespacedName{Namespace: v.name.Namespace, Name: v.names.Archive()}
	found, err := r.Applier.Find(ctx, v.pair, name, &board)
	if err != nil {
		return nil, err
	}
	text := board.Data[jobapi.KeyArchive]
	if !found || text == "" {
		return nil, nil
	}
	var report jobapi.ArchiveReport
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return nil, fmt.Errorf("read %s of ConfigMap %s: %w", jobapi.KeyArchive, name, err)
	}
	report.Message = cut(report.Message)
	report.Member = cut(report.Member)
	return &report, nil
}

// archiveMissing says what the archiver's pod lacks, or why it does not run; empty when it runs.
func (r *PairReconciler) archiveMissing(ctx context.Context, v *visit) (reason, fact string, err error) {
	if why := ownVolume(v.pair); why != "" {
		return status.ReasonSecretMissing, why, nil
	}
	named := namedObjects{live: r.Live, namespace: v.name.Namespace}
	why, err := named.missingOf(ctx, v.pair.Spec.Backup.Destination, "spec.backup.destination")
	if err != nil || why != "" {
		return status.ReasonSecretMissing, why, err
	}
	var pods corev1.PodList
	err = r.Live.List(ctx, &pods, client.InNamespace(v.name.Namespace), client.MatchingLabels(resources.ArchiveSelector(v.name.Name)))
	if err != nil {
		return "", "", fmt.Errorf("list the pods of Deployment %s: %w", v.names.Archive(), err)
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	if len(pods.Items) == 0 {
		return status.ReasonArchiverNotRunning, "Deployment " + v.names.Archive() + " has no pod yet", nil
	}
	if why := notRunning(&pods.Items[0]); why != "" {
		return status.ReasonArchiverNotRunning, why, nil
	}
	return "", "", nil
}

// notRunning says why the container of an archiver's pod does not run; empty when it does.
func notRunning(pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		container := &pod.Status.ContainerStatuses[i]
		if container.Name != resources.ContainerArchive {
			continue
		}
		if container.State.Running != nil {
			return ""
		}
		if ended := container.LastTerminationState.Terminated; ended != nil && ended.Message != "" {
			return fmt.Sprintf("pod %s ended: %s", pod.Name, cut(strings.TrimSpace(ended.Message)))
		}
	}
	if why := unstartable(pod); why != "" {
		return why
	}
	return "pod " + pod.Name + " does not run yet"
}
