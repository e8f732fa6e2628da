package resources

import (
	"net/url"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
)

const (
	volumeStore   = "store"
	volumeStoreCA = "store-ca"

	// envCABundle is where the AWS SDK looks for further authorities.
	envCABundle = "AWS_CA_BUNDLE"
	// regionOfOthers is what stores that are compatible with S3 take for a region.
	regionOfOthers = "us-east-1"
)

// CredentialKeys are the keys of the Secret of spec.backup.destination.s3.credentials that have
// to be there; the AWS SDK reads them from the environment.
func CredentialKeys() []string { return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} }

// sessionKey may be there.
const sessionKey = "AWS_SESSION_TOKEN"

// BackupStore is the URL of a pair's folder at its destination. It holds no credentials. A pair
// that is made again under its name has another folder.
func BackupStore(p *v1alpha1.DatabasePair) string {
	return storeFolder(p.Spec.Backup.Destination, pairFolder(p.Namespace, p.Name)+"/"+string(p.UID))
}

// pairFolder holds the folders of all pairs that ever had a name.
func pairFolder(namespace, name string) string { return "/" + namespace + "." + name }

// storeFolder is the URL of a folder at a destination.
func storeFolder(destination v1alpha1.BackupDestination, folder string) string {
	s3 := destination.S3
	if s3 == nil {
		return "file://" + jobapi.StoreDir + folder
	}
	query := url.Values{"region": {s3.Region}}
	pathStyle := s3.PathStyle == v1alpha1.PathStyleAlways
	if s3.Endpoint != "" {
		query.Set("endpoint", strings.TrimSuffix(s3.Endpoint, "/"))
		pathStyle = s3.PathStyle != v1alpha1.PathStyleNever
		if s3.Region == "" {
			query.Set("region", regionOfOthers)
		}
	}
	if pathStyle {
		query.Set("use_path_style", "true")
	}
	if s3.Prefix != "" {
		folder = "/" + s3.Prefix + folder
	}
	return "s3://" + s3.Bucket + folder + "?" + query.Encode()
}

// forBackup makes the Job of a backup of one that compares: another program, which alone has
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

// access is what a pod does with a store.
type access bool

const (
	writable access = false
	readOnly access = true
)

// mountDestination gives a pod what it needs to reach a store.
func mountDestination(pod *corev1.PodSpec, container *corev1.Container, destination v1alpha1.BackupDestination, mode access) {
	if volume := destination.Volume; volume != nil {
		pod.SecurityContext.FSGroupChangePolicy = ptr.To(corev1.FSGroupChangeOnRootMismatch)
		pod.Volumes = append(pod.Volumes, corev1.Volume{
			Name: volumeStore,
			VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: volume.ClaimName},
			},
		})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
			Name:      volumeStore,
			MountPath: jobapi.StoreDir,
			ReadOnly:  bool(mode),
		})
	}
	if s3 := destination.S3; s3 != nil {
		forS3(pod, container, s3)
	}
}

func forS3(pod *corev1.PodSpec, container *corev1.Container, s3 *v1alpha1.S3Destination) {
	if s3.Credentials != nil {
		for _, key := range append(CredentialKeys(), sessionKey) {
			container.Env = append(container.Env, corev1.EnvVar{
				Name: key,
				ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: s3.Credentials.Name},
					Key:                  key,
					Optional:             ptr.To(!slices.Contains(CredentialKeys(), key)),
				}},
			})
		}
	}
	if s3.CABundle != nil {
		container.Env = append(container.Env, corev1.EnvVar{
			Name:  envCABundle,
			Value: jobapi.StoreCADir + "/" + jobapi.StoreCAFile,
		})
		pod.Volumes = append(pod.Volumes, corev1.Volume{
			Name: volumeStoreCA,
			VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: s3.CABundle.Name},
				DefaultMode:          ptr.To[int32](0o440),
				Items:                []corev1.KeyToPath{{Key: s3.CABundle.Key, Path: jobapi.StoreCAFile}},
			}},
		})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
			Name:      volumeStoreCA,
			MountPath: jobapi.StoreCADir,
			ReadOnly:  true,
		})
	}
}

// backupPasswords: a backup logs in as the account that copies data directories.
func backupPasswords() []corev1.KeyToPath {
	return []corev1.KeyToPath{{Key: agentapi.PasswordFileClone, Path: agentapi.PasswordFileClone}}
}
