package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
)

const (
	// LabelJobOf names the pair that a Job, its pods and its ConfigMap work for. The pods
	// carry no LabelPair: they are no members, and nothing may take them for one.
	LabelJobOf = "dbpair.io/job-of"
	// nameJob is the value of LabelName of what belongs to a Job.
	nameJob = "dbpair-job"
	// ContainerJob is the container of a Job's pod.
	ContainerJob = "job"

	// jobUID is the user that a Job's pod runs as, that of our image.
	jobUID = 65532
	// jobGrace is how long a Job's process may take to save where it is.
	jobGrace = 10 * time.Second
	// jobRetries is how often a Job's pod is made again: nodes are drained, members change
	// their addresses, and each begins where the last one was.
	jobRetries = 20
	// jobKept is how long a finished Job is kept for its log.
	jobKept = time.Hour
)

// Job is the ServiceAccount, Role and RoleBinding of the pair's Jobs.
func (n Names) Job() string { return n.Pair + "-job" }

// JobName is the Job of an operation, and the ConfigMap and the Secret that go with it. It
// does not depend on the operation's name, which may be longer than a Job's.
func (n Names) JobName(operation types.UID) string {
	sum := sha256.Sum256([]byte(operation))
	return n.Pair + "-job-" + hex.EncodeToString(sum[:5])
}

// JobLabels are on a Job, its pods and its ConfigMap.
func JobLabels(pairName string) map[string]string {
	return map[string]string{
		LabelName:      nameJob,
		LabelInstance:  pairName,
		LabelManagedBy: Product,
		LabelJobOf:     pairName,
	}
}

// JobSelector picks what JobLabels is on, and not the pods of a vault or an archiver, which work for the pair as well.
func JobSelector(pairName string) map[string]string {
	return map[string]string{LabelJobOf: pairName, LabelName: nameJob}
}

// JobServiceAccount is the identity of the pods of the pair's Jobs.
func JobServiceAccount(p *v1alpha1.DatabasePair) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(NamesOf(p).Job(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithAutomountServiceAccountToken(false)
}

// JobRole lets the Job that runs now read and write the one ConfigMap in which it keeps
// its progress, its state and its report; without one it allows nothing.
func JobRole(p *v1alpha1.DatabasePair, configMap string) *rbacv1ac.RoleApplyConfiguration {
	role := rbacv1ac.Role(NamesOf(p).Job(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p))
	if configMap == "" {
		return role
	}
	return role.WithRules(rbacv1ac.PolicyRule().
		WithAPIGroups("").
		WithResources("configmaps").
		WithResourceNames(configMap).
		WithVerbs("get", "patch"))
}

// JobRoleBinding binds the two, and the ServiceAccount with which the Job of a backup reaches its store.
func JobRoleBinding(p *v1alpha1.DatabasePair) *rbacv1ac.RoleBindingApplyConfiguration {
	name := NamesOf(p).Job()
	binding := rbacv1ac.RoleBinding(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(name)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).WithName(name).WithNamespace(p.Namespace))
	if account := storeAccount(p); account != "" && account != name {
		binding.WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).WithName(account).WithNamespace(p.Namespace))
	}
	return binding
}

// ownedBy makes an operation the controller of an object: a record and its report go
// together.
func ownedBy(op *v1alpha1.DatabasePairOperation) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(),
		Kind:       "DatabasePairOperation",
		Name:       op.Name,
		UID:        op.UID,
		Controller: ptr.To(true),
	}}
}

// JobConfigMap is where an operation's Job keeps its state and answers.
func JobConfigMap(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation) *corev1.ConfigMap {
	out := &corev1.ConfigMap{ObjectMeta: besideJob(p, op)}
	if op.Spec.Type.ReachesStore() || op.Spec.Type == v1alpha1.OperationRestoreDrill {
		out.Annotations = reporter(p)
	}
	return out
}

// JobTLSSecret holds the client certificate of an operation's Job.
func JobTLSSecret(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation, caPEM, certPEM, keyPEM []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: besideJob(p, op),
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			KeyCA:                   caPEM,
			corev1.TLSCertKey:       certPEM,
			corev1.TLSPrivateKeyKey: keyPEM,
		},
	}
}

// besideJob carries LabelPair beside the labels of Jobs: the operator's cache and the
// admission policies select by that label.
func besideJob(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation) metav1.ObjectMeta {
	labels := JobLabels(p.Name)
	labels[LabelPair] = p.Name
	return metav1.ObjectMeta{
		Name:            NamesOf(p).JobName(op.UID),
		Namespace:       p.Namespace,
		Labels:          labels,
		OwnerReferences: ownedBy(op),
	}
}

// JobRequest is the request in a Job's pod template; empty for none.
func JobRequest(job *batchv1.Job) string {
	for i := range job.Spec.Template.Spec.Containers {
		for _, env := range job.Spec.Template.Spec.Containers[i].Env {
			if env.Name == jobapi.EnvRequest {
				return env.Value
			}
		}
	}
	return ""
}

// JobOptions are what a Job is made with.
type JobOptions struct {
	Image    Image
	Deadline time.Duration
	// Request is an encoded jobapi.Request, of the kind of the operation.
	Request string
}

// Job runs one operation beside the pair. Its pod needs nothing but the network, runs
// restricted, and is made again when it is lost.
func Job(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation, o JobOptions) *batchv1.Job {
	job := baseJob(p, op, o)
	switch op.Spec.Type {
	case v1alpha1.OperationBackup, v1alpha1.OperationExpire:
		return forBackup(job, p)
	case v1alpha1.OperationRestoreDrill:
		return forRestoreDrill(job, p)
	default:
		return job
	}
}

func baseJob(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation, o JobOptions) *batchv1.Job {
	name := NamesOf(p).JobName(op.UID)
	labels := JobLabels(p.Name)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Namespace:       p.Namespace,
			Labels:          labels,
			OwnerReferences: ownedBy(op),
		},
		Spec: batchv1.JobSpec{
			Parallelism:             ptr.To[int32](1),
			Completions:             ptr.To[int32](1),
			BackoffLimit:            ptr.To[int32](jobRetries),
			ActiveDeadlineSeconds:   ptr.To(int64(max(o.Deadline, time.Second) / time.Second)),
			TTLSecondsAfterFinished: ptr.To(int32(jobKept / time.Second)),
			// Never two at once: the next pod is made when the last one has ended.
			PodReplacementPolicy: ptr.To(batchv1.Failed),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
					{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
				}},
				{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
					ContainerName: ptr.To(ContainerJob),
					Operator:      batchv1.PodFailurePolicyOnExitCodesOpIn,
					Values:        []int32{jobapi.ExitForGood},
				}},
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: jobPodMetadata(p, labels),
				Spec:       jobPod(p, op, o),
			},
		},
	}
}

// jobPodMetadata are the pair's own, under those of a Job: a sidecar, a policy or a quota
// that the members' pods are marked for is meant for all pods of the pair.
func jobPodMetadata(p *v1alpha1.DatabasePair, labels map[string]string) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Labels:      maps.Clone(p.Spec.PodTemplate.Metadata.Labels),
		Annotations: maps.Clone(p.Spec.PodTemplate.Metadata.Annotations),
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	maps.Copy(out.Labels, labels)
	return out
}

func jobPod(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation, o JobOptions) corev1.PodSpec {
	pod := restrictedPod(p)
	pod.Containers = []corev1.Container{jobContainer(p, op, o)}
	pod.Volumes = []corev1.Volume{
		{Name: volumeInternal, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName:  NamesOf(p).Internal(),
			DefaultMode: ptr.To[int32](0o440),
			Items:       jobPasswords(op.Spec.Type),
		}}},
		{Name: volumeJobTLS, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: NamesOf(p).JobName(op.UID), DefaultMode: ptr.To[int32](0o440),
		}}},
	}
	return pod
}

// restrictedPod is what the pods of all Jobs have in common.
func restrictedPod(p *v1alpha1.DatabasePair) corev1.PodSpec {
	user := &p.Spec.PodTemplate.Spec
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            NamesOf(p).Job(),
		AutomountServiceAccountToken:  ptr.To(true),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(int64(jobGrace / time.Second)),
		NodeSelector:                  user.NodeSelector,
		Tolerations:                   user.Tolerations,
		ImagePullSecrets:              user.ImagePullSecrets,
		PriorityClassName:             user.PriorityClassName,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			RunAsUser:      ptr.To[int64](jobUID),
			RunAsGroup:     ptr.To[int64](jobUID),
			FSGroup:        ptr.To[int64](jobUID),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func restrictedContainer() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		RunAsNonRoot:             ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func jobContainer(p *v1alpha1.DatabasePair, op *v1alpha1.DatabasePairOperation, o JobOptions) corev1.Container {
	return corev1.Container{
		Name:            ContainerJob,
		Image:           o.Image.Name,
		ImagePullPolicy: o.Image.PullPolicy,
		Command:         []string{"/job", "run"},
		Env: []corev1.EnvVar{
			{
				Name: agentapi.EnvPodNamespace,
				ValueFrom: &corev1.EnvVarSource{
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				},
			},
			{Name: jobapi.EnvConfigMap, Value: NamesOf(p).JobName(op.UID)},
			{Name: jobapi.EnvRequest, Value: o.Request},
		},
		Resources:                jobResources(),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             jobMounts(),
	}
}

const volumeJobTLS = "tls"

// jobPasswords: a comparison never holds a password that could write.
func jobPasswords(t v1alpha1.OperationType) []corev1.KeyToPath {
	if t.ReachesStore() {
		return backupPasswords()
	}
	items := []corev1.KeyToPath{{Key: agentapi.PasswordFileChecksum, Path: agentapi.PasswordFileChecksum}}
	if t == v1alpha1.OperationRepair {
		items = append(items, corev1.KeyToPath{Key: agentapi.PasswordFileRepair, Path: agentapi.PasswordFileRepair})
	}
	return items
}

// jobResources are those of the pods that work beside the members.
func jobResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("50m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("1"),
			corev1.ResourceMemory: resource.MustParse("512Mi"),
		},
	}
}

// jobMounts are the password files of a pair's own accounts, and the certificate to log in with.
func jobMounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{
		{
			Name:      volumeInternal,
			MountPath: agentapi.InternalDir,
			ReadOnly:  true,
		},
		{
			Name:      volumeJobTLS,
			MountPath: jobapi.TLSDir,
			ReadOnly:  true,
		},
	}
}
