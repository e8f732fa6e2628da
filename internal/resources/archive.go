package resources

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// nameArchive is the value of LabelName of an archiver's pod.
	nameArchive = "dbpair-archive"
	// ContainerArchive is the container of that pod.
	ContainerArchive = "archive"
)

// Archive is the Deployment that archives a pair's binary logs, the Secret of its certificate, the
// ConfigMap of its reports, and the Role and RoleBinding with which it writes them.
func (n Names) Archive() string { return n.Pair + "-archive" }

// ArchiveWanted reports whether the spec asks for an archive of binary logs.
func ArchiveWanted(p *v1alpha1.DatabasePair) bool {
	return p.Spec.Backup != nil && p.Spec.Backup.Binlog.Enabled
}

// ArchiveSelector picks the archiver's pods of a pair. They carry no LabelPair, as they are no
// members.
func ArchiveSelector(pairName string) map[string]string {
	return map[string]string{LabelJobOf: pairName, LabelName: nameArchive}
}

// archivePeer admits the archiver to the members.
func archivePeer(pairName string) *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	return networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(policyPort(portNameAdmin), policyPortNumber(pair.PortBinlog)).
		WithFrom(networkingv1ac.NetworkPolicyPeer().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(ArchiveSelector(pairName))))
}

// ArchiveRequest is what the archiver of a pair is asked for.
func ArchiveRequest(p *v1alpha1.DatabasePair) jobapi.ArchiveRequest {
	names := NamesOf(p)
	request := jobapi.ArchiveRequest{
		Store:   BackupStore(p),
		PairUID: string(p.UID),
		Flush:   p.Spec.Backup.Binlog.FlushInterval.Duration,
		// In Async a failover may give up what a primary without a passive has committed.
		Alone: p.Spec.Durability.Mode == v1alpha1.Lossless,
	}
	for _, o := range []pair.Ordinal{0, 1} {
		request.Hosts = append(request.Hosts, names.Host(o))
	}
	if encryption := p.Spec.Backup.Encryption; encryption != nil {
		request.Recipients = encryption.Recipients
	}
	return request
}

// ArchiveSecret holds the client certificate of the archiver.
func ArchiveSecret(p *v1alpha1.DatabasePair, caPEM, certPEM, keyPEM []byte) *corev1ac.SecretApplyConfiguration {
	return secret(p, NamesOf(p).Archive(), corev1.SecretTypeTLS, map[string][]byte{
		KeyCA:                   caPEM,
		corev1.TLSCertKey:       certPEM,
		corev1.TLSPrivateKeyKey: keyPEM,
	})
}

// ArchiveConfigMap is where the archiver reports. It has LabelJobOf, as what the pods of the
// ServiceAccount of Jobs write.
func ArchiveConfigMap(p *v1alpha1.DatabasePair) *corev1.ConfigMap {
	labels := Labels(p.Name)
	labels[LabelJobOf] = p.Name
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:            NamesOf(p).Archive(),
		Namespace:       p.Namespace,
		Labels:          labels,
		Annotations:     reporter(p),
		OwnerReferences: []metav1.OwnerReference{OwnerReference(p)},
	}}
}

// ArchiveRole lets the archiver write its reports.
func ArchiveRole(p *v1alpha1.DatabasePair) *rbacv1ac.RoleApplyConfiguration {
	name := NamesOf(p).Archive()
	return rbacv1ac.Role(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithRules(rbacv1ac.PolicyRule().
			WithAPIGroups("").
			WithResources("configmaps").
			WithResourceNames(name).
			WithVerbs("patch"))
}

// ArchiveRoleBinding binds the Role to the ServiceAccount that the store knows.
func ArchiveRoleBinding(p *v1alpha1.DatabasePair) *rbacv1ac.RoleBindingApplyConfiguration {
	name := NamesOf(p).Archive()
	return rbacv1ac.RoleBinding(name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(name)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).WithName(cmp.Or(storeAccount(p), NamesOf(p).Job())).WithNamespace(p.Namespace))
}

// ArchiveDeployment runs the archiver: one pod, and never two by a rollout. A hibernated pair has
// none.
func ArchiveDeployment(p *v1alpha1.DatabasePair, image Image) (*appsv1ac.DeploymentApplyConfiguration, error) {
	request, err := json.Marshal(ArchiveRequest(p))
	if err != nil {
		return nil, fmt.Errorf("encode the request of the archive of pair %s: %w", p.Name, err)
	}
	labels := JobLabels(p.Name)
	maps.Copy(labels, ArchiveSelector(p.Name))
	template, err := appliedTemplate(corev1.PodTemplateSpec{
		ObjectMeta: jobPodMetadata(p, labels),
		Spec:       archivePod(p, image, string(request)),
	})
	if err != nil {
		return nil, fmt.Errorf("render the pod of the archive of pair %s: %w", p.Name, err)
	}
	replicas := int32(1)
	if p.Spec.Hibernate {
		replicas = 0
	}
	return appsv1ac.Deployment(NamesOf(p).Archive(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithLabels(map[string]string{LabelJobOf: p.Name}).
		WithOwnerReferences(owner(p)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(replicas).
			WithRevisionHistoryLimit(1).
			WithStrategy(appsv1ac.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(ArchiveSelector(p.Name))).
			WithTemplate(template)), nil
}

// appliedTemplate is a template as it is applied.
func appliedTemplate(template corev1.PodTemplateSpec) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	out := corev1ac.PodTemplateSpec()
	return out, json.Unmarshal(text, out)
}

func archivePod(p *v1alpha1.DatabasePair, image Image, request string) corev1.PodSpec {
	pod := restrictedPod(p)
	pod.RestartPolicy = corev1.RestartPolicyAlways
	pod.Containers = []corev1.Container{archiveContainer(p, image, request)}
	pod.Volumes = []corev1.Volume{
		{
			Name: volumeInternal,
			VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName:  NamesOf(p).Internal(),
				DefaultMode: ptr.To[int32](0o440),
				Items: []corev1.KeyToPath{
					{Key: agentapi.PasswordFileReplication, Path: agentapi.PasswordFileReplication},
				},
			}},
		},
		{
			Name: volumeJobTLS,
			VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName:  NamesOf(p).Archive(),
				DefaultMode: ptr.To[int32](0o440),
			}},
		},
	}
	mountDestination(&pod, &pod.Containers[0], p.Spec.Backup.Destination, writable)
	return pod
}

func archiveContainer(p *v1alpha1.DatabasePair, image Image, request string) corev1.Container {
	return corev1.Container{
		Name:            ContainerArchive,
		Image:           image.Name,
		ImagePullPolicy: image.PullPolicy,
		Command:         []string{"/backup", "archiver"},
		Env: []corev1.EnvVar{
			{
				Name: agentapi.EnvPodNamespace,
				ValueFrom: &corev1.EnvVarSource{
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				},
			},
			{
				Name:  jobapi.EnvConfigMap,
				Value: NamesOf(p).Archive(),
			},
			{
				Name:  jobapi.EnvArchive,
				Value: request,
			},
		},
		Resources:                jobResources(),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             jobMounts(),
	}
}
