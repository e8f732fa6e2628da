package resources

import (
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
)

const (
	volumeStore        = "store"
	volumeStoreCA      = "store-ca"
	volumeStoreAccount = "store-account"

	// envCABundle is where the AWS SDK looks for further authorities.
	envCABundle = "AWS_CA_BUNDLE"
	// envGoogleFile is where Google's SDK looks for the name of a file with credentials.
	envGoogleFile = "GOOGLE_APPLICATION_CREDENTIALS"
	// envAzureAccount names the storage account whose access key is in the environment.
	envAzureAccount = "AZURE_STORAGE_ACCOUNT"
	// AzureKey is the key of the Secret of an azure destination, and where the key is in the
	// environment.
	AzureKey = "AZURE_STORAGE_KEY"
	// regionOfOthers is what stores that are compatible with S3 take for a region.
	regionOfOthers = "us-east-1"
)

// CredentialKeys are the keys of the Secret of spec.backup.destination.s3.credentials that have
// to be there; the AWS SDK reads them from the environment.
func CredentialKeys() []string { return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} }

// sessionKey may be there.
const sessionKey = "AWS_SESSION_TOKEN"

// storeFolder is the URL of a folder at a destination.
func storeFolder(destination v1alpha1.BackupDestination, folder string) string {
	switch {
	case destination.S3 != nil:
		return s3Folder(destination.S3, folder)
	case destination.GCS != nil:
		return "gs://" + destination.GCS.Bucket + below(destination.GCS.Prefix, folder)
	case destination.Azure != nil:
		query := url.Values{"storage_account": {destination.Azure.Account}}
		return "azblob://" + destination.Azure.Container + below(destination.Azure.Prefix, folder) + "?" + query.Encode()
	}
	return "file://" + jobapi.StoreDir + folder
}

// below is a folder, which begins with a slash, below a prefix.
func below(prefix, folder string) string {
	if prefix == "" {
		return folder
	}
	return "/" + prefix + folder
}

func s3Folder(s3 *v1alpha1.S3Destination, folder string) string {
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
	return "s3://" + s3.Bucket + below(s3.Prefix, folder) + "?" + query.Encode()
}

// AnnotationReporter is on a ConfigMap in which a pod reports that runs as a ServiceAccount of the
// user's: its name. The admission policy lets that one write, beside that of the pair's Jobs.
const AnnotationReporter = "dbpair.io/reporter"

// storeAccount is the ServiceAccount of the user's with which the store of a pair's backups is reached;
// empty for that of the pair's Jobs.
func storeAccount(p *v1alpha1.DatabasePair) string {
	if p.Spec.Backup == nil {
		return ""
	}
	return p.Spec.Backup.Destination.ServiceAccountName
}

// reporter are the annotations of a ConfigMap in which a pod that reaches the store reports.
func reporter(p *v1alpha1.DatabasePair) map[string]string {
	if name := storeAccount(p); name != "" {
		return map[string]string{AnnotationReporter: name}
	}
	return nil
}

// access is what a pod does with a store.
type access bool

const (
	writable access = false
	readOnly access = true
)

// mountDestination gives a pod what it needs to reach a store.
func mountDestination(pod *corev1.PodSpec, container *corev1.Container, destination v1alpha1.BackupDestination, mode access) {
	if destination.ServiceAccountName != "" {
		pod.ServiceAccountName = destination.ServiceAccountName
	}
	switch {
	case destination.S3 != nil:
		forS3(pod, container, destination.S3)
	case destination.GCS != nil:
		forGCS(pod, container, destination.GCS)
	case destination.Azure != nil:
		forAzure(container, destination.Azure)
	case destination.Volume != nil:
		forVolume(pod, container, destination.Volume, mode)
	}
}

func forVolume(pod *corev1.PodSpec, container *corev1.Container, volume *v1alpha1.VolumeDestination, mode access) {
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

func forS3(pod *corev1.PodSpec, container *corev1.Container, s3 *v1alpha1.S3Destination) {
	if s3.Credentials != nil {
		for _, key := range append(CredentialKeys(), sessionKey) {
			container.Env = append(container.Env, fromSecret(s3.Credentials.Name, key, !slices.Contains(CredentialKeys(), key)))
		}
	}
	if s3.CABundle != nil {
		mountFile(pod, container, volumeStoreCA, jobapi.StoreCADir, corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: s3.CABundle.Name},
			DefaultMode:          ptr.To[int32](0o440),
			Items:                []corev1.KeyToPath{{Key: s3.CABundle.Key, Path: jobapi.StoreCAFile}},
		}})
		container.Env = append(container.Env, corev1.EnvVar{
			Name:  envCABundle,
			Value: jobapi.StoreCADir + "/" + jobapi.StoreCAFile,
		})
	}
}

func forGCS(pod *corev1.PodSpec, container *corev1.Container, gcs *v1alpha1.GCSDestination) {
	if gcs.Credentials == nil {
		return
	}
	mountFile(pod, container, volumeStoreAccount, jobapi.StoreAccountDir, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName:  gcs.Credentials.Name,
		DefaultMode: ptr.To[int32](0o440),
		Items:       []corev1.KeyToPath{{Key: gcs.Credentials.Key, Path: jobapi.StoreAccountFile}},
	}})
	container.Env = append(container.Env, corev1.EnvVar{
		Name:  envGoogleFile,
		Value: jobapi.StoreAccountDir + "/" + jobapi.StoreAccountFile,
	})
}

func forAzure(container *corev1.Container, azure *v1alpha1.AzureDestination) {
	container.Env = append(container.Env, corev1.EnvVar{
		Name:  envAzureAccount,
		Value: azure.Account,
	})
	if azure.Credentials != nil {
		container.Env = append(container.Env, fromSecret(azure.Credentials.Name, AzureKey, false))
	}
}

// fromSecret is a variable with the value of the key of its name.
func fromSecret(secret, key string, optional bool) corev1.EnvVar {
	return corev1.EnvVar{
		Name: key,
		ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret},
			Key:                  key,
			Optional:             ptr.To(optional),
		}},
	}
}

// mountFile mounts the one file of a volume, read-only.
func mountFile(pod *corev1.PodSpec, container *corev1.Container, name, dir string, source corev1.VolumeSource) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name:         name,
		VolumeSource: source,
	})
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
		Name:      name,
		MountPath: dir,
		ReadOnly:  true,
	})
}
