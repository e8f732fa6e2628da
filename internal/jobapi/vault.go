package jobapi

const (
	// EnvVault holds a VaultRequest in the environment of a vault: the pod that serves the backup
	// which a new pair begins with.
	EnvVault = "DBPAIR_VAULT"
	// VaultDir holds the password, tls.crt and tls.key in a vault's pod.
	VaultDir = "/etc/dbpair/vault"
	// VaultPassword is the password's file there, and its key in the Secret.
	VaultPassword = "password"
	// VaultUser is the account that a vault accepts.
	VaultUser = "dbpair_vault"
	// PortVault is the port that a vault answers on.
	PortVault = 33062
	// PortReplay is the port on which a vault is the source of what was archived after the backup.
	// It asks for the same account; its gtid_executed is what a member has in the end, and empty
	// when there is nothing to replay.
	PortReplay = 33063
	// IdentityDir holds the age identity of an encrypted backup.
	IdentityDir = "/etc/dbpair/identity"
	// IdentityFile is the file there.
	IdentityFile = "identity.txt"
	// TerminationLog takes the VaultReport of a vault that ends; the pod's status shows it.
	TerminationLog = "/dev/termination-log"
)

// VaultRequest is what a vault is to serve.
type VaultRequest struct {
	// Store is the URL of the folder that holds one folder for each UID of a pair.
	Store string `json:"store"`
	// Pair is namespace and name of the pair that was backed up, for messages.
	Pair string `json:"pair"`
	// UID of that pair; empty if all backups are those of one.
	UID string `json:"uid,omitempty"`
	// BackupID is an ID, or v1alpha1.LatestBackup.
	BackupID string `json:"backupID"`
	// Identity says whether there is one in IdentityDir.
	Identity bool `json:"identity,omitempty"`
	// Verify reads every object before the first of them is served: the backup was damaged when
	// it was served last, and a member would copy it again up to there.
	Verify bool `json:"verify,omitempty"`
	// Replay says that the member replays what was archived after the backup.
	Replay bool `json:"replay,omitempty"`
	// Target is up to where it does; an empty one is the end of the archive.
	Target VaultTarget `json:"target,omitzero"`
	// Reseed is set when a member of the very pair that was backed up copies it.
	Reseed *VaultReseed `json:"reseed,omitempty"`
}

// VaultReseed is what the backup is copied for by a member of its pair.
type VaultReseed struct {
	// Operation that asks for it.
	Operation string `json:"operation"`
	// Purged are GTIDs that are in no binary log of the primary any more: a backup that may lack one of
	// them leads nowhere.
	Purged string `json:"purged,omitempty"`
}

// VaultTarget is one of three.
type VaultTarget struct {
	// Time in RFC 3339, with an offset: what was committed later is left out, and all that follows.
	Time string `json:"time,omitempty"`
	// GTID is a set: nothing comes after the last of it.
	GTID string `json:"gtid,omitempty"`
	// BeforeGTID is the first transaction that is left out, with all that follow.
	BeforeGTID string `json:"beforeGTID,omitempty"`
}

// VaultReason is why a backup cannot be served. Each but BackupTooOld is a reason of the condition
// Bootstrapped.
type VaultReason string

// The reasons.
const (
	// BackupNotFound: the store has no such backup, or none at all of the pair.
	BackupNotFound VaultReason = "BackupNotFound"
	// BackupAmbiguous: several pairs of the name have left backups.
	BackupAmbiguous VaultReason = "BackupAmbiguous"
	// BackupDamaged: an object of the backup is missing or is not what was written.
	BackupDamaged VaultReason = "BackupDamaged"
	// BackupTooOld: the primary has purged binary logs that a member with the backup needs. Only a re-seed
	// ends with it.
	BackupTooOld VaultReason = "BackupTooOld"
	// ArchiveNotFound: there is a target, and the pair has left no archive of binary logs.
	ArchiveNotFound VaultReason = "ArchiveNotFound"
	// ArchiveDamaged: an object of the archive is missing or is not what was written.
	ArchiveDamaged VaultReason = "ArchiveDamaged"
	// TargetInvalid: the target is no time with an offset, or no GTIDs.
	TargetInvalid VaultReason = "TargetInvalid"
	// TargetUnreachable: no backup and archive lead to the target.
	TargetUnreachable VaultReason = "TargetUnreachable"
	// IdentityMissing: the backup is encrypted, and no identity is given.
	IdentityMissing VaultReason = "IdentityMissing"
	// IdentityWrong: the identity given is of no recipient of the backup.
	IdentityWrong VaultReason = "IdentityWrong"
	// StoreDenied: the store refuses the credentials.
	StoreDenied VaultReason = "StoreDenied"
	// BucketNotFound: there is no such bucket.
	BucketNotFound VaultReason = "BucketNotFound"
	// StoreSkewed: the clock of the node and that of the store differ too much.
	StoreSkewed VaultReason = "StoreSkewed"
	// StoreUntrusted: the certificate of the store is of no authority that is trusted.
	StoreUntrusted VaultReason = "StoreUntrusted"
	// StoreUnreachable: the store does not answer.
	StoreUnreachable VaultReason = "StoreUnreachable"
	// VaultFailed: anything else, which the message has.
	VaultFailed VaultReason = "VaultFailed"
)

// VaultReasons are all of them.
func VaultReasons() []VaultReason {
	return []VaultReason{
		BackupNotFound,
		BackupAmbiguous,
		BackupDamaged,
		BackupTooOld,
		ArchiveNotFound,
		ArchiveDamaged,
		TargetInvalid,
		TargetUnreachable,
		IdentityMissing,
		IdentityWrong,
		StoreDenied,
		BucketNotFound,
		StoreSkewed,
		StoreUntrusted,
		StoreUnreachable,
		VaultFailed,
	}
}

// VaultReport is why a vault has ended.
type VaultReport struct {
	Reason  VaultReason `json:"reason"`
	Message string      `json:"message"`
}
