package resources

import (
	"net"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// volumeDump is the user's volume with the dump.
const volumeDump = "dump"

// Dump is the Job that brings the first member the dump that a new pair begins with, and the
// Secret with its certificate.
func (n Names) Dump() string { return n.Pair + "-dump" }

// DumpTLSSecret holds the client certificate of the Job that brings the dump, and goes with it.
func DumpTLSSecret(p *v1alpha1.DatabasePair, job *batchv1.Job, caPEM, certPEM, keyPEM []byte) *corev1.Secret {
	labels := JobLabels(p.Name)
	labels[LabelPair] = p.Name
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:      NamesOf(p).Dump(),
			Namespace: p.Namespace,
			Labels:    labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: batchv1.SchemeGroupVersion.String(),
				Kind:       "Job",
				Name:       job.Name,
				UID:        job.UID,
				Controller: ptr.To(true),
			}},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			KeyCA:                   caPEM,
			corev1.TLSCertKey:       certPEM,
			corev1.TLSPrivateKeyKey: keyPEM,
		},
	}
}

// DumpJob brings the first member the dump. Its pod has the user's volume, read-only, and a
// certificate with which it can bring a dump and do nothing else; it has no right in the cluster and
// no password. It tries until the member has its data, and ends then.
func DumpJob(p *v1alpha1.DatabasePair, image Image) *batchv1.Job {
	labels := JobLabels(p.Name)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:            NamesOf(p).Dump(),
			Namespace:       p.Namespace,
			Labels:          labels,
			OwnerReferences: []metav1.OwnerReference{OwnerReference(p)},
		},
		Spec: batchv1.JobSpec{
			Parallelism:             ptr.To[int32](1),
			Completions:             ptr.To[int32](1),
			BackoffLimit:            ptr.To[int32](jobRetries),
			TTLSecondsAfterFinished: ptr.To(int32(jobKept / time.Second)),
			PodReplacementPolicy:    ptr.To(batchv1.Failed),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
					{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
				}},
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: jobPodMetadata(p, labels),
				Spec:       dumpPod(p, image),
			},
		},
	}
}

func dumpPod(p *v1alpha1.DatabasePair, image Image) corev1.PodSpec {
	pod := jobPod(p, &v1alpha1.DatabasePairOperation{}, JobOptions{Image: image})
	names := NamesOf(p)
	source := p.Spec.Bootstrap.Dump
	pod.AutomountServiceAccountToken = ptr.To(false)
	// The volume is the user's: nothing on it gets another owner.
	pod.SecurityContext.FSGroup = nil
	pod.SecurityContext.SupplementalGroups = []int64{jobUID}
	pod.Volumes = []corev1.Volume{
		{Name: volumeDump, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: source.ClaimName,
			ReadOnly:  true,
		}}},
		{Name: volumeJobTLS, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: names.Dump(),
			// Without a group of the volume the user of the pod is one of the others.
			DefaultMode: ptr.To[int32](0o444),
		}}},
	}
	container := &pod.Containers[0]
	container.Command = []string{"/job", "dump"}
	container.Env = []corev1.EnvVar{
		{Name: jobapi.EnvDumpHost, Value: names.Host(0)},
		{Name: jobapi.EnvDumpAgent, Value: net.JoinHostPort(names.Host(0), strconv.Itoa(pair.PortAgent))},
		{Name: jobapi.EnvDumpPath, Value: source.Path},
	}
	container.VolumeMounts = []corev1.VolumeMount{
		{
			Name:      volumeDump,
			MountPath: jobapi.DumpDir,
			ReadOnly:  true,
		},
		{
			Name:      volumeJobTLS,
			MountPath: jobapi.TLSDir,
			ReadOnly:  true,
		},
	}
	return pod
}
