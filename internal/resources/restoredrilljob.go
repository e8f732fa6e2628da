package resources

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// forRestoreDrill makes the Job of a restore drill of one that compares. Its pod has two containers that run: the program that
// serves the backup on loopback, which alone has the credentials of the store, and beside it a mysqld of the pair's image,
// which the agent's program runs. Neither has an account of the pair.
func forRestoreDrill(job *batchv1.Job, p *v1alpha1.DatabasePair) *batchv1.Job {
	pod := &job.Spec.Template.Spec
	serving := &pod.Containers[0]
	image := Image{Name: serving.Image, PullPolicy: serving.ImagePullPolicy}
	serving.Command = []string{"/backup", "run"}
	serving.Resources = backupResources()
	serving.VolumeMounts = []corev1.VolumeMount{{
		Name:      volumeRun,
		MountPath: jobapi.RestoreDrillDir,
	}}
	pod.Volumes = restoreDrillVolumes(p)
	if p.Spec.Backup != nil {
		mountDestination(pod, serving, p.Spec.Backup.Destination, writable)
		if identity := RestoreDrillIdentity(p); identity != nil {
			mountIdentity(pod, serving, *identity)
		}
	}
	pod.InitContainers = []corev1.Container{restoreDrillInstall(p, image)}
	pod.Containers = append(pod.Containers, restoreDrillMysqld(p))
	return job
}

// RestoreDrillIdentity is the key of the Secret with the identity by which drills decrypt backups; nil for none.
func RestoreDrillIdentity(p *v1alpha1.DatabasePair) *v1alpha1.KeyReference {
	if p.Spec.Backup == nil || p.Spec.Backup.Encryption == nil {
		return nil
	}
	return p.Spec.Backup.Encryption.IdentitySecretRef
}

// mountIdentity gives a pod the age identity of an encrypted backup.
func mountIdentity(pod *corev1.PodSpec, container *corev1.Container, identity v1alpha1.KeyReference) {
	mountFile(pod, container, volumeIdentity, jobapi.IdentityDir, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName:  identity.Name,
		DefaultMode: ptr.To[int32](0o440),
		Items:       []corev1.KeyToPath{{Key: identity.Key, Path: jobapi.IdentityFile}},
	}})
}

// restoreDrillInstall runs before mysqld and never beside it, as in a member's pod.
func restoreDrillInstall(p *v1alpha1.DatabasePair, image Image) corev1.Container {
	return corev1.Container{
		Name:                     ContainerInstall,
		Image:                    image.Name,
		ImagePullPolicy:          image.PullPolicy,
		Command:                  []string{"/agent", "install", binDir},
		Resources:                requirementsOf(p),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{{
			Name:      volumeBin,
			MountPath: binDir,
		}},
	}
}

// restoreDrillMysqld has what a member's mysqld has: the time that a restore takes is that of this machine.
func restoreDrillMysqld(p *v1alpha1.DatabasePair) corev1.Container {
	limits := requirementsOf(p).Limits
	return corev1.Container{
		Name:            ContainerMysqld,
		Image:           p.Spec.MySQL.Image,
		ImagePullPolicy: corev1.PullPolicy(p.Spec.MySQL.ImagePullPolicy),
		Command: []string{
			binDir + "/agent",
			"restore-drill",
			"--shared=" + jobapi.RestoreDrillDir,
			"--memory=" + strconv.FormatInt(limits.Memory().Value(), 10),
		},
		Resources:                requirementsOf(p),
		SecurityContext:          restrictedContainer(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{
			{
				Name:      volumeData,
				MountPath: agentapi.DataDir,
			},
			{
				Name:      volumeRun,
				MountPath: jobapi.RestoreDrillDir,
			},
			{
				Name:      volumeTmp,
				MountPath: tmpDir,
			},
			{
				Name:      volumeBin,
				MountPath: binDir,
				ReadOnly:  true,
			},
			{
				Name:      volumeConfig,
				MountPath: agentapi.ConfigDir,
				ReadOnly:  true,
			},
		},
	}
}

// requirementsOf is resourcesOf for an object that is made whole.
func requirementsOf(p *v1alpha1.DatabasePair) corev1.ResourceRequirements {
	var out corev1.ResourceRequirements
	apply := resourcesOf(p)
	if apply.Requests != nil {
		out.Requests = *apply.Requests
	}
	if apply.Limits != nil {
		out.Limits = *apply.Limits
	}
	return out
}

func restoreDrillVolumes(p *v1alpha1.DatabasePair) []corev1.Volume {
	emptyDir := func(name, limit string) corev1.Volume {
		return corev1.Volume{
			Name:         name,
			VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(resource.MustParse(limit))}},
		}
	}
	return []corev1.Volume{
		emptyDir(volumeBin, binLimit),
		emptyDir(volumeRun, runLimit),
		emptyDir(volumeTmp, tmpLimit),
		{
			Name: volumeConfig,
			VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: NamesOf(p).Config()},
				DefaultMode:          ptr.To[int32](0o444),
			}},
		},
		{
			Name:         volumeData,
			VolumeSource: restoreDrillData(p),
		},
	}
}

// restoreDrillData is where a drill restores to. What fits on a member's volume fits on one of its size, and the class that
// made those makes this one as well; it goes with the pod. The class "" makes none: then it is a directory on the node.
func restoreDrillData(p *v1alpha1.DatabasePair) corev1.VolumeSource {
	class := p.Spec.Storage.StorageClassName
	if b := p.Spec.Backup; b != nil && b.Drill != nil && b.Drill.StorageClassName != nil {
		class = b.Drill.StorageClassName
	}
	size := p.Spec.Storage.Size.DeepCopy()
	if logs := p.Spec.Storage.Binlog; logs != nil {
		size.Add(logs.Size)
	}
	if class != nil && *class == "" {
		return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}
	}
	return corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Labels: JobLabels(p.Name)},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName: class,
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: size},
				},
			},
		},
	}}
}
