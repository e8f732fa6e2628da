package resources

import (
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
)

const (
	// nameVault is the value of LabelName of a vault's pod.
	nameVault = "dbpair-vault"

	volumeVault    = "vault"
	volumeIdentity = "identity"
	portNameVault  = "vault"
	portNameReplay = "replay"

	// vaultProbe is the time between two looks whether a vault answers, in seconds.
	vaultProbe = 2
)

// VaultSelector picks the vault's pods of a pair. They carry no LabelPair, as they are no members.
func VaultSelector(pairName string) map[string]string {
	return map[string]string{LabelJobOf: pairName, LabelName: nameVault}
}

// PairFolder is the URL of the folder that the backups of all pairs of a name are in.
func PairFolder(source *v1alpha1.BackupSource, namespace string) string {
	return storeFolder(source.Destination, pairFolder(namespace, source.Pair.Name))
}

// besideVault is what a pair's Job, Service and Secret have in common. The operator's cache
// selects Jobs by LabelJobOf and everything else by LabelPair, and so do the admission policies.
func besideVault(p *v1alpha1.DatabasePair) metav1.ObjectMeta {
	labels := Labels(p.Name)
	labels[LabelJobOf] = p.Name
	return metav1.ObjectMeta{
		Name:            NamesOf(p).Vault(),
		Namespace:       p.Namespace,
		Labels:          labels,
		OwnerReferences: []metav1.OwnerReference{OwnerReference(p)},
	}
}

// VaultSecret has the password of the vault's one account, and its certificate.
func VaultSecret(p *v1alpha1.DatabasePair, password string, certPEM, keyPEM []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: besideVault(p),
		Data: map[string][]byte{
			jobapi.VaultPassword:    []byte(password),
			corev1.TLSCertKey:       certPEM,
			corev1.TLSPrivateKeyKey: keyPEM,
		},
	}
}

// VaultService gives the vault's pod an address once it answers.
func VaultService(p *v1alpha1.DatabasePair) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: besideVault(p),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  VaultSelector(p.Name),
			Ports: []corev1.ServicePort{
				{
					Name:       portNameVault,
					Port:       jobapi.PortVault,
					TargetPort: intstr.FromString(portNameVault),
				},
				{
					Name:       portNameReplay,
					Port:       jobapi.PortReplay,
					TargetPort: intstr.FromString(portNameReplay),
				},
			},
		},
	}
}

// VaultNetworkPolicy lets only the members reach the vault.
func VaultNetworkPolicy(p *v1alpha1.DatabasePair) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return networkingv1ac.NetworkPolicy(NamesOf(p).Vault(), p.Namespace).
		WithLabels(Labels(p.Name)).
		WithOwnerReferences(owner(p)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(VaultSelector(p.Name))).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().
				WithPorts(policyPort(portNameVault), policyPort(portNameReplay)).
				WithFrom(networkingv1ac.NetworkPolicyPeer().
					WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name))))))
}

// OwnBackup is the newest of the pair's own backups. The pair has to have a spec.backup.
func OwnBackup(p *v1alpha1.DatabasePair) *v1alpha1.BackupSource {
	source := &v1alpha1.BackupSource{
		Destination: p.Spec.Backup.Destination,
		Pair: v1alpha1.BackedUpPair{
			Namespace: p.Namespace,
			Name:      p.Name,
			UID:       string(p.UID),
		},
		BackupID: v1alpha1.LatestBackup,
	}
	if encryption := p.Spec.Backup.Encryption; encryption != nil {
		source.IdentitySecretRef = encryption.IdentitySecretRef
	}
	return source
}

// VaultJob serves a backup of a source, as an encoded jobapi.VaultRequest names it, until it is
// deleted or cannot go on. Its pod runs once: the operator makes the Job again.
func VaultJob(p *v1alpha1.DatabasePair, source *v1alpha1.BackupSource, image Image, request string) *batchv1.Job {
	labels := JobLabels(p.Name)
	maps.Copy(labels, VaultSelector(p.Name))
	job := &batchv1.Job{
		ObjectMeta: besideVault(p),
		Spec: batchv1.JobSpec{
			Parallelism:  ptr.To[int32](1),
			Completions:  ptr.To[int32](1),
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: jobPodMetadata(p, labels),
				Spec:       vaultPod(p, image, request),
			},
		},
	}
	pod := &job.Spec.Template.Spec
	container := &pod.Containers[0]
	mountDestination(pod, container, source.Destination, readOnly)
	if identity := source.IdentitySecretRef; identity != nil {
		mountIdentity(pod, container, *identity)
	}
	return job
}

func vaultPod(p *v1alpha1.DatabasePair, image Image, request string) corev1.PodSpec {
	pod := restrictedPod(p)
	// The program asks the API server for nothing; a store may know the ServiceAccount.
	pod.AutomountServiceAccountToken = ptr.To(false)
	pod.Containers = []corev1.Container{vaultContainer(image, request)}
	pod.Volumes = []corev1.Volume{{
		Name: volumeVault,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName:  NamesOf(p).Vault(),
			DefaultMode: ptr.To[int32](0o440),
		}},
	}}
	return pod
}

func vaultContainer(image Image, request string) corev1.Container {
	return corev1.Container{
		Name:            ContainerJob,
		Image:           image.Name,
		ImagePullPolicy: image.PullPolicy,
		Command:         []string{"/backup", "vault"},
		Env:             []corev1.EnvVar{{Name: jobapi.EnvVault, Value: request}},
		Ports: []corev1.ContainerPort{
			{
				Name:          portNameVault,
				ContainerPort: jobapi.PortVault,
			},
			{
				Name:          portNameReplay,
				ContainerPort: jobapi.PortReplay,
			},
		},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{
				TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(portNameVault)},
			},
			PeriodSeconds: vaultProbe,
		},
		Resources:                backupResources(),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePath:   jobapi.TerminationLog,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{{
			Name:      volumeVault,
			MountPath: jobapi.VaultDir,
			ReadOnly:  true,
		}},
	}
}
