package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackupSpec says where backups of the pair go, when they are taken and how long they are
// kept. They are taken from the passive.
type BackupSpec struct {
	// destination is where backups are stored. Every pair has a folder of its own there,
	// <namespace>.<name>/<uid of the DatabasePair>.
	Destination BackupDestination `json:"destination"`

	// schedule of the backups in cron form, such as "0 1 * * *" or "@daily". Without one they
	// happen on demand only: kubectl dbpair backup.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$') || self.matches('^[^ @=]+( [^ @=]+){4}$')",message="spec.backup.schedule must have five fields, as in '0 1 * * *' (minute hour day month weekday), or be @hourly, @daily, @weekly, @monthly or @yearly; the time zone goes into spec.backup.timeZone"
	Schedule string `json:"schedule,omitempty"`

	// timeZone of the schedule, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="spec.backup.timeZone must be a name such as Etc/UTC or Europe/Berlin: the operator's own zone is nobody's"
	TimeZone string `json:"timeZone,omitempty"`

	// startingDeadline is how late a backup may begin, for example after an outage of the
	// operator or while there was no passive; later it is left out.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="spec.backup.startingDeadline must be from 1m to 168h"
	StartingDeadline metav1.Duration `json:"startingDeadline,omitempty"`

	// suspend leaves out what is scheduled, and the backup after a gap of the archive. A backup under way goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// retention says which backups are removed after each new one.
	// +optional
	// +kubebuilder:default={}
	Retention BackupRetention `json:"retention,omitempty"`

	// encryption of the backups; without it they are stored as they are.
	// +optional
	Encryption *BackupEncryption `json:"encryption,omitempty"`

	// binlog archives the binary logs beside the backups, so that a restore can lead to any
	// moment after one.
	// +optional
	// +kubebuilder:default={}
	Binlog BinlogArchive `json:"binlog,omitempty"`

	// verify reads every object of a new backup back and compares its sha256 before the backup
	// counts as one. It takes as much traffic again as the backup.
	// +optional
	// +kubebuilder:default=true
	Verify *bool `json:"verify,omitempty"`

	// drill restores the newest backup by a schedule, in order to know that it can be: the condition Restorable.
	// +optional
	Drill *RestoreDrillSpec `json:"drill,omitempty"`
}

// BinlogArchive says whether binary logs are archived, and how. They are read from the passive by
// the pod of the Deployment <pair>-archive, encrypted as backups are, and removed with the last backup
// that needs them.
type BinlogArchive struct {
	// enabled archives the binary logs.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// flushInterval is how long a transaction waits for others before it is written to the store.
	// +optional
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('5m')",message="spec.backup.binlog.flushInterval must be from 1s to 5m"
	FlushInterval metav1.Duration `json:"flushInterval,omitempty"`

	// maxBacklog is the size of binary logs, as a quantity (10Gi) or a share of the volume that they are on
	// (20%), up to which a member keeps what is not archived, whatever spec.mysql says. Beyond it, and when
	// less than a tenth of that volume is free, they are removed by spec.mysql, and the archive has a gap.
	// +optional
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([1-9]|[1-8][0-9]|90)%$') || (isQuantity(self) && quantity(self).isGreaterThan(quantity('99Mi')))",message="spec.backup.binlog.maxBacklog must be a share from 1% to 90% or a quantity of at least 100Mi"
	MaxBacklog string `json:"maxBacklog,omitempty"`
}

// BackupDestination is one store.
// +kubebuilder:validation:XValidation:rule="[has(self.s3), has(self.gcs), has(self.azure), has(self.volume)].exists_one(given, given)",message="destination needs exactly one of s3, gcs, azure and volume"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || !(has(self.volume) || (has(self.s3) && has(self.s3.credentials)) || (has(self.gcs) && has(self.gcs.credentials)) || (has(self.azure) && has(self.azure.credentials)))",message="destination takes its credentials from a Secret (credentials) or from the ServiceAccount of serviceAccountName, not from both, and a volume needs none"
type BackupDestination struct {
	// s3 is a bucket of Amazon S3 or of a store that is compatible with it.
	// +optional
	S3 *S3Destination `json:"s3,omitempty"`
	// gcs is a bucket of Google Cloud Storage.
	// +optional
	GCS *GCSDestination `json:"gcs,omitempty"`
	// azure is a container of Azure Blob Storage.
	// +optional
	Azure *AzureDestination `json:"azure,omitempty"`
	// volume is a volume of the cluster.
	// +optional
	Volume *VolumeDestination `json:"volume,omitempty"`
	// serviceAccountName is a ServiceAccount in the pair's namespace by which the cloud knows the pods
	// that reach the store, as workload identity does, where there is no Secret with credentials;
	// <pair>-job when absent. It has to exist.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="serviceAccountName must be the name of a ServiceAccount in the pair's namespace"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// PathStyle says how the bucket is named in requests.
// +kubebuilder:validation:Enum=Auto;Always;Never
type PathStyle string

// The styles of requests.
const (
	// PathStyleAuto: in the path when endpoint is set, else in the host name.
	PathStyleAuto PathStyle = "Auto"
	// PathStyleAlways names the bucket in the path.
	PathStyleAlways PathStyle = "Always"
	// PathStyleNever names the bucket in the host name.
	PathStyleNever PathStyle = "Never"
)

// S3Destination is a bucket. It has to exist.
// +kubebuilder:validation:XValidation:rule="has(self.endpoint) || has(self.region)",message="s3 needs region, such as eu-central-1, or the endpoint of a store that is compatible with S3"
type S3Destination struct {
	// bucket that the backups are in.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$')",message="bucket must be the name of a bucket, of 3 to 63 letters, digits, '.', '-' and '_'"
	// +kubebuilder:validation:MaxLength=63
	Bucket string `json:"bucket"`
	// prefix of the keys in the bucket, without a slash at its ends.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.matches('(^|/)[.][.]?(/|$)')",message="prefix may have letters, digits, '.', '_', '-' and '/' between them, and no segment '.' or '..'"
	Prefix string `json:"prefix,omitempty"`
	// endpoint of a store that is compatible with S3, such as https://s3.example.com.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+/?$')",message="endpoint must be https://HOST or https://HOST:PORT"
	Endpoint string `json:"endpoint,omitempty"`
	// region of the bucket; us-east-1 when there is an endpoint and none is given.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9-]+$')",message="region must be the name of a region, such as eu-central-1"
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`
	// pathStyle: Auto, Always or Never. With Auto the bucket is named in the path of a request
	// when endpoint is set, else in the host name.
	// +optional
	// +kubebuilder:default=Auto
	PathStyle PathStyle `json:"pathStyle,omitempty"`
	// caBundle is a key of a ConfigMap with the certificates, in PEM, by which the store's is
	// verified; the public authorities when absent.
	// +optional
	CABundle *KeyReference `json:"caBundle,omitempty"`
	// credentials is a Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and
	// AWS_SESSION_TOKEN if there is one. Without it the AWS SDK looks for credentials of the
	// ServiceAccount of serviceAccountName, or <pair>-job, and of the node.
	// +optional
	Credentials *SecretReference `json:"credentials,omitempty"`
}

// KeyReference names one key of an object in the pair's namespace.
type KeyReference struct {
	// name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// key in it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// SecretReference names a Secret in the pair's namespace.
type SecretReference struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// VolumeDestination is a volume that backups are written to as files.
type VolumeDestination struct {
	// claimName is a PersistentVolumeClaim in the pair's namespace. It has to exist, and must
	// not be that of a member.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClaimName string `json:"claimName"`
}

// BackupRetention says which backups stay. The last one that was proven and those that are
// pinned stay as well.
type BackupRetention struct {
	// keepFor keeps every backup that was finished within this time, and the newest one before.
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1h') && duration(self) <= duration('87600h')",message="spec.backup.retention.keepFor must be from 1h to 87600h (ten years)"
	KeepFor metav1.Duration `json:"keepFor,omitempty"`
	// keepLast keeps this many of the newest backups whatever their age.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	KeepLast int32 `json:"keepLast,omitempty"`
}

// BackupEncryption has the keys that backups are encrypted with.
type BackupEncryption struct {
	// recipients are public keys as age-keygen prints them. Each of their identities decrypts
	// a backup; without one of them it is worth nothing.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=62
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.matches('^age1[a-z0-9]{58}$'))",message="spec.backup.encryption.recipients must be public keys as age-keygen prints them: age1 and 58 letters and digits"
	Recipients []string `json:"recipients"`
	// identitySecretRef is a key of a Secret with an age identity, as age-keygen writes it, of one of the
	// recipients. Backups are made without it: it is for what reads the pair's own backups again, such as a
	// re-seed from a backup, or a restore drill.
	// +optional
	IdentitySecretRef *KeyReference `json:"identitySecretRef,omitempty"`
}

// BackupResult is a backup that was taken.
type BackupResult struct {
	// id of the backup in the store.
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id"`
	// location is the URL of the pair's folder in the store, as the program backup takes it.
	// +kubebuilder:validation:MaxLength=2048
	Location string `json:"location"`
	// from is the member that it was taken from.
	// +optional
	From string `json:"from,omitempty"`
	// mysqlVersion of that member.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	MySQLVersion string `json:"mysqlVersion,omitempty"`
	// gtids is what that member had executed when the backup was complete; the backup may lack
	// the last of them. A set that is too long is cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	GTIDs string `json:"gtids,omitempty"`
	// size of the data, in bytes.
	// +optional
	Size int64 `json:"size,omitempty"`
	// storedSize is what the backup takes in the store, in bytes.
	// +optional
	StoredSize int64 `json:"storedSize,omitempty"`
	// objects of the backup in the store.
	// +optional
	Objects int64 `json:"objects,omitempty"`
	// encrypted: it is read with an age identity.
	// +optional
	Encrypted bool `json:"encrypted,omitempty"`
	// digest is the sha256 of the backup's manifest, which names the digest of every object.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
	// verified: every object was read back and has its digest.
	// +optional
	Verified bool `json:"verified,omitempty"`
	// removed are backups that the retention no longer needed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=64
	Removed []string `json:"removed,omitempty"`
	// retentionProblem says why nothing was removed though something was to be.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	RetentionProblem string `json:"retentionProblem,omitempty"`
	// stored are the backups in the pair's folder after it, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Stored []StoredBackup `json:"stored,omitempty"`
	// storedTotal is how many there are.
	// +optional
	StoredTotal int64 `json:"storedTotal,omitempty"`
}

// StoredBackup is a complete backup in the store.
type StoredBackup struct {
	// id of the backup.
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id"`
	// finished is when it was complete.
	Finished metav1.Time `json:"finished"`
	// size of the data, in bytes.
	// +optional
	Size int64 `json:"size,omitempty"`
	// storedSize is what it takes in the store, in bytes.
	// +optional
	StoredSize int64 `json:"storedSize,omitempty"`
	// encrypted: it is read with an age identity.
	// +optional
	Encrypted bool `json:"encrypted,omitempty"`
	// pinned: the retention does not remove it.
	// +optional
	Pinned bool `json:"pinned,omitempty"`
	// proven is when a restore drill last proved it, or someone recorded that a restore of it was right.
	// +optional
	Proven *metav1.Time `json:"proven,omitempty"`
}

// ArchiveStatus is what is known of the archive of the pair's binary logs. Times are by the clock of the
// member that was read.
type ArchiveStatus struct {
	// until is the newest moment up to which nothing is missing, as the store says it: what a restore can
	// lead to. Without writes it is renewed every five minutes.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// current is the newest moment at which everything that the member had was in the store.
	// +optional
	Current *metav1.Time `json:"current,omitempty"`
	// gtids is everything that is archived, was there before the archive began, or is in a gap. A set
	// that is too long is cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	GTIDs string `json:"gtids,omitempty"`
	// segments is the number of objects in the store.
	// +optional
	Segments int64 `json:"segments,omitempty"`
	// member is the address that is read; empty while none is.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Member string `json:"member,omitempty"`
	// gap is the last gap of the archive: no restore leads across it.
	// +optional
	Gap *ArchiveGap `json:"gap,omitempty"`
	// gapBackup is the newest backup operation that was begun because of a gap: one for each.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	GapBackup string `json:"gapBackup,omitempty"`
}

// ArchiveGap are transactions that the archive does not have.
type ArchiveGap struct {
	// gtids are the missing ones. A set that is too long is cut off and ends in "…".
	// +kubebuilder:validation:MaxLength=2048
	GTIDs string `json:"gtids"`
	// found is when they were found to be missing. Backups that began later lead on.
	Found metav1.Time `json:"found"`
}

// BackupStatus is what is known of the pair's backups.
type BackupStatus struct {
	// lastOperation is the newest backup operation that ended, with or without a backup.
	// +optional
	LastOperation string `json:"lastOperation,omitempty"`
	// lastCompletionTime is when lastOperation ended.
	// +optional
	LastCompletionTime *metav1.MicroTime `json:"lastCompletionTime,omitempty"`
	// lastFailure says why lastOperation made no backup; empty when it made one.
	// +optional
	LastFailure string `json:"lastFailure,omitempty"`
	// lastSuccess is the newest operation that made a backup.
	// +optional
	LastSuccess string `json:"lastSuccess,omitempty"`
	// lastSuccessTime is when lastSuccess ended.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// duration of lastSuccess.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
	// last is the backup that lastSuccess made, and what was in the store then.
	// +optional
	Last *BackupResult `json:"last,omitempty"`
	// lastScheduleTime is the newest time of the schedule that was acted upon.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// restoreDrill is what became of the restore drills.
	// +optional
	RestoreDrill *RestoreDrillStatus `json:"restoreDrill,omitempty"`
}
