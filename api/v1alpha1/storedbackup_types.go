package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DatabasePairBackup is a complete backup in the store of a pair. The operator makes one for each that
// a Job finds there, also of those taken by hand, and removes it when the backup is gone. It is not owned by
// the pair, and stays when the pair is deleted, as the backup does.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbpb
// +kubebuilder:printcolumn:name="Pair",type=string,JSONPath=`.spec.pairRef.name`
// +kubebuilder:printcolumn:name="Completed",type=string,JSONPath=`.status.completionTime`,description="When the backup was complete"
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`,description="The size of the data"
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.status.from`,description="The member that it was taken from"
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.verified`,description="Was it restored, or read back?"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Backup",type=string,priority=1,JSONPath=`.spec.backupID`,description="Its ID"
// +kubebuilder:printcolumn:name="Stored",type=string,priority=1,JSONPath=`.status.storedSize`,description="What it takes in the store"
// +kubebuilder:printcolumn:name="Encrypted",type=boolean,priority=1,JSONPath=`.status.encrypted`
// +kubebuilder:printcolumn:name="Pinned",type=boolean,priority=1,JSONPath=`.status.pinned`,description="Is it kept whatever the retention says?"
// +kubebuilder:printcolumn:name="On-Delete",type=string,priority=1,JSONPath=`.spec.deletionPolicy`,description="What becomes of the backup when the object is deleted"
// +kubebuilder:printcolumn:name="GTIDs",type=string,priority=1,JSONPath=`.status.gtids`,description="What it restores"
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.pairRef.name + '-' + self.spec.backupID.lowerAscii()",message="metadata.name must be <pair>-<backupID in lower case>; the operator makes these objects"
type DatabasePairBackup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec names the backup.
	Spec StoredBackupSpec `json:"spec"`
	// status is what the store has.
	Status StoredBackupStatus `json:"status,omitempty"`
}

// DatabasePairBackupList is a list of backups.
//
// +kubebuilder:object:root=true
type DatabasePairBackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatabasePairBackup `json:"items"`
}

// LabelBackupOf of a DatabasePairBackup names its pair.
const LabelBackupOf = "dbpair.io/backup-of"

// StoredBackupSpec names a backup.
type StoredBackupSpec struct {
	// pairRef is the pair that it was taken of, in the same namespace; it may be gone.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.pairRef cannot be changed: the operator makes an object for each backup"
	PairRef BackupPairReference `json:"pairRef"`
	// backupID of the backup in the pair's folder.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$')",message="spec.backupID must be an ID as kubectl dbpair backups prints it, such as 20260102T030405Z-0a1b2c3d"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.backupID cannot be changed: the operator makes an object for each backup"
	BackupID string `json:"backupID"`
	// pinned: true keeps the backup whatever spec.backup.retention says, false does not. Each Job that applies the
	// retention marks the backup accordingly in the store. Without it the mark in the store is left as it is.
	// +optional
	Pinned *bool `json:"pinned,omitempty"`
	// deletionPolicy says what becomes of the backup when this object is deleted. Retain leaves it in the store, and the
	// object comes back. Delete has it removed from the store by an operation of type Expire, unless it is pinned, the
	// only complete one or the last one that was proven, or more than half of the pair's are deleted at once: then it stays. When the
	// pair or the namespace is deleted it stays as well.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy BackupDeletionPolicy `json:"deletionPolicy,omitempty"`
}

// BackupDeletionPolicy says what becomes of the backup of an object that is deleted.
// +kubebuilder:validation:Enum=Retain;Delete
type BackupDeletionPolicy string

// What becomes of the backup of an object that is deleted.
const (
	// RetainBackup leaves it in the store.
	RetainBackup BackupDeletionPolicy = "Retain"
	// DeleteBackup removes it from the store.
	DeleteBackup BackupDeletionPolicy = "Delete"
)

// AnnotationForceRemoval with the value "true" on a DatabasePairBackup has its backup removed from the store when the
// object is deleted and its deletionPolicy is Delete, whatever else protects it.
const AnnotationForceRemoval = "dbpair.io/force-removal"

// BackupParameters are those of an operation of type Backup.
type BackupParameters struct {
	// pin keeps the new backup whatever spec.backup.retention says, until it is unpinned.
	// +optional
	Pin bool `json:"pin,omitempty"`
}

// ExpireParameters are those of an operation of type Expire.
// +kubebuilder:validation:XValidation:rule="has(self.force) && self.force ? has(self.backupID) : true",message="spec.expire.force needs spec.expire.backupID: name the backup"
type ExpireParameters struct {
	// backupID is the one backup that is removed; without it those are that spec.backup.retention no longer needs.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$')",message="spec.expire.backupID must be an ID as kubectl dbpair backups prints it, such as 20260102T030405Z-0a1b2c3d"
	BackupID string `json:"backupID,omitempty"`
	// force removes it also when it is pinned, the only complete one, or the last one that was proven.
	// +optional
	Force bool `json:"force,omitempty"`
}

// ExpireResult is what an operation of type Expire removed.
type ExpireResult struct {
	// removed backups.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=64
	Removed []string `json:"removed,omitempty"`
	// storedTotal is how many complete ones are left.
	// +optional
	StoredTotal int64 `json:"storedTotal,omitempty"`
}

// BackupPairReference names a pair by its name and its UID: each has a folder of its own in the store.
type BackupPairReference struct {
	// name of the DatabasePair.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// uid of that object. A restore names it when several pairs of the name have left backups.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
}

// BackupVerification says how far a backup was verified.
// +kubebuilder:validation:Enum=Restored;ReadBack;Unknown
type BackupVerification string

// How far a backup was verified.
const (
	// BackupRestored: a restore of it was recorded to be right.
	BackupRestored BackupVerification = "Restored"
	// BackupReadBack: every object was read back when it was taken, and had its digest.
	BackupReadBack BackupVerification = "ReadBack"
	// BackupUnverified: neither is known.
	BackupUnverified BackupVerification = "Unknown"
)

// StoredBackupStatus is what the store had of a backup when a Job looked last.
type StoredBackupStatus struct {
	// location is the URL of the folder in the store that it is in, as the program backup takes it.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Location string `json:"location,omitempty"`
	// startTime is when it began: binary logs from then on lead to later moments.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when it was complete.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// size of the data, rounded up.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// storedSize is what it takes in the store, rounded up.
	// +optional
	StoredSize *resource.Quantity `json:"storedSize,omitempty"`
	// from is the member that it was taken from; absent when it was not an operation that took it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from,omitempty"`
	// mysqlVersion of the server that it was taken from.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	MySQLVersion string `json:"mysqlVersion,omitempty"`
	// gtids is what that server had executed when the backup was complete; the backup may lack the last of
	// them. A set that is too long is cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	GTIDs string `json:"gtids,omitempty"`
	// encrypted: it is read with an age identity.
	// +optional
	Encrypted bool `json:"encrypted,omitempty"`
	// verified: Restored when a restore of it was recorded to be right, ReadBack when every object was read
	// back when it was taken, else Unknown.
	// +optional
	Verified BackupVerification `json:"verified,omitempty"`
	// provenTime is when a restore of it was last recorded to be right.
	// +optional
	ProvenTime *metav1.Time `json:"provenTime,omitempty"`
	// pinned: the retention does not remove it.
	// +optional
	Pinned bool `json:"pinned,omitempty"`
	// operation is the one that removes the backup from the store, since this object was deleted.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Operation string `json:"operation,omitempty"`
}
