package resources

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// BackupStore is the URL of a pair's folder at its destination. It holds no credentials. A pair
// that is made again under its name has another folder.
func BackupStore(p *v1alpha1.DatabasePair) string {
	return storeFolder(p.Spec.Backup.Destination, pairFolder(p.Namespace, p.Name)+"/"+string(p.UID))
}

// pairFolder holds the folders of all pairs that ever had a name.
func pairFolder(namespace, name string) string { return "/" + namespace + "." + name }

// forBackup makes the Job of a backup or an expiry of one that compares: another program, which alone has
// the credentials of the store.
func forBackup(job *batchv1.Job, p *v1alpha1.DatabasePair) *batchv1.Job {
	pod := &job.Spec.Template.Spec
	container := &pod.Containers[0]
	container.Command = []string{"/backup", "run"}
	container.Resources = backupResources()
	if p.Spec.Backup != nil {
		mountDestination(pod, container, p.Spec.Backup.Destination, writable)
	}
	return job
}

func backupResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")},
	}
}

// backupPasswords: a backup logs in as the account that copies data directories.
func backupPasswords() []corev1.KeyToPath {
	return []corev1.KeyToPath{{Key: agentapi.PasswordFileClone, Path: agentapi.PasswordFileClone}}
}
