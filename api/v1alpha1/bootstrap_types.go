package v1alpha1

// BootstrapSpec says what data a new pair begins with.
// +kubebuilder:validation:XValidation:rule="[has(self.donor), has(self.backup), has(self.dump)].exists_one(given, given)",message="spec.bootstrap needs exactly one of donor, backup and dump"
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.bootstrap cannot be changed: it counts once, when the pair's first data is made; delete the pair, which has no data yet, and make it again"
type BootstrapSpec struct {
	// donor is a server outside of the pair: the first member copies it while it runs, by CLONE
	// INSTANCE, and the second one the first. Rows, definitions and accounts are the donor's; the
	// accounts of the pair are created again with the passwords of the pair's Secrets, and every
	// account of the donor whose user has the name of one of them goes.
	// +optional
	Donor *DonorSource `json:"donor,omitempty"`
	// backup is one that was taken of a pair: the operator has it served beside the new pair, and
	// the first member copies it as it copies a donor. Everything holds that is said of donor.
	// +optional
	Backup *BackupSource `json:"backup,omitempty"`
	// dump is a file of SQL statements, such as mysqldump writes: the first member loads it before
	// it opens, through the binary log, and the second one copies the first.
	// +optional
	Dump *DumpSource `json:"dump,omitempty"`
}

// DumpSource is a dump on a volume: plain SQL, or compressed by gzip or zstd. It is read twice: nothing
// is loaded when it is cut off, or has statements that a pair does not take.
type DumpSource struct {
	// claimName is a PersistentVolumeClaim in the pair's namespace. It has to exist, and must not
	// be that of a member. It is mounted read-only by a Job that ends with the load.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClaimName string `json:"claimName"`
	// path of the file in the volume, such as backups/app.sql.zst. The user 65532 has to be able
	// to read it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.endsWith('/') && !self.split('/').exists(part, part == '..')",message="spec.bootstrap.dump.path must be the path of a file within the volume, such as backups/app.sql.gz: without a slash at either end and without .."
	Path string `json:"path"`
	// strip leaves out the statements that would bypass the binary log or change what the server
	// takes for executed: SET of sql_log_bin, gtid_purged and gtid_next. Without it such a dump is
	// refused.
	// +optional
	Strip bool `json:"strip,omitempty"`
	// allowMissingDefiners loads views, routines, triggers and events whose definer is no account
	// of the new pair. They fail when they are used, until the account is made.
	// +optional
	AllowMissingDefiners bool `json:"allowMissingDefiners,omitempty"`
}

// DonorTLS says how a donor is connected to.
// +kubebuilder:validation:Enum=Required;Disabled
type DonorTLS string

// How a donor is connected to.
const (
	// DonorTLSRequired encrypts the connection.
	DonorTLSRequired DonorTLS = "Required"
	// DonorTLSDisabled sends all data in the clear.
	DonorTLSDisabled DonorTLS = "Disabled"
)

// DonorSource is a server of the same series of MySQL (such as 8.4) whose plugin clone is active,
// and whose tables are all InnoDB's.
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || self.tls == 'Required'",message="spec.bootstrap.donor.caSecretRef needs tls Required: without TLS there is no certificate to verify"
type DonorSource struct {
	// host is its name or IPv4 address, as a member reaches it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",message="spec.bootstrap.donor.host must be a host name or an IPv4 address, without a port"
	Host string `json:"host"`
	// port of its mysqld.
	// +optional
	// +kubebuilder:default=3306
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// user with the right BACKUP_ADMIN there. With SELECT on everything, tables that cannot be
	// copied are found before the copy and not after it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	User string `json:"user"`
	// passwordSecretRef is a key of a Secret with the password of user. It is sent to host, and
	// not needed any more once the pair has data.
	PasswordSecretRef KeyReference `json:"passwordSecretRef"`
	// caSecretRef is a key of a Secret with the certificates, in PEM, by which the donor's
	// certificate is verified, though not the name in it. Without it any certificate is accepted.
	// +optional
	CASecretRef *KeyReference `json:"caSecretRef,omitempty"`
	// tls: Required, or Disabled to copy in the clear.
	// +optional
	// +kubebuilder:default=Required
	TLS DonorTLS `json:"tls,omitempty"`
}

const (
	// LatestBackup is the backupID of whichever backup is the newest.
	LatestBackup = "Latest"
	// LatestMoment is the time of the end of an archive of binary logs.
	LatestMoment = "Latest"
)

// BackupSource is a backup in a store. It has to be of the same series of MySQL, such as 8.4.
type BackupSource struct {
	// destination is where it is, as spec.backup.destination says of the pair that it was taken
	// of. The Secret, ConfigMap or volume that is named here is one in the new pair's namespace.
	Destination BackupDestination `json:"destination"`
	// pair that it was taken of, which does not have to exist any more.
	Pair BackedUpPair `json:"pair"`
	// backupID of the backup, as kubectl dbpair backups prints it, or Latest.
	// +optional
	// +kubebuilder:default=Latest
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(Latest|[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})$')",message="backupID must be Latest, or an ID as kubectl dbpair backups prints it, such as 20260102T030405Z-0a1b2c3d"
	BackupID string `json:"backupID,omitempty"`
	// target is the moment to restore: of the newest backup that was complete before it, or of the
	// one that backupID names, the archive of binary logs leads on up to it. Without a target it is the
	// backup, and nothing that came later.
	// +optional
	Target *RestoreTarget `json:"target,omitempty"`
	// identitySecretRef is a key of a Secret with an age identity, as age-keygen writes it, of one
	// of the recipients that the backup was encrypted for. A backup that is not encrypted needs none.
	// +optional
	IdentitySecretRef *KeyReference `json:"identitySecretRef,omitempty"`
}

// RestoreTarget is a moment that a pair's backups and its archive of binary logs lead to.
// +kubebuilder:validation:XValidation:rule="[has(self.time), has(self.gtid), has(self.beforeGTID)].exists_one(given, given)",message="spec.bootstrap.backup.target needs exactly one of time, gtid and beforeGTID"
type RestoreTarget struct {
	// time with an offset: the first transaction that was committed later, by the clock of the member
	// that it was written on, is left out, and all that follow. Latest is everything that is archived.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^(Latest|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))$')",message="spec.bootstrap.backup.target.time must have an offset, such as 2026-01-02T15:04:05+02:00, or 2026-01-02T13:04:05Z for UTC, or be Latest"
	Time string `json:"time,omitempty"`
	// gtid is a set of transactions, or one: all of them are restored, and nothing that comes after
	// the last of them.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}[0-9a-zA-Z_:, \\n-]*:[0-9]+(-[0-9]+)?$')",message="spec.bootstrap.backup.target.gtid must be a set of GTIDs, such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77, as gtid_executed shows it"
	GTID string `json:"gtid,omitempty"`
	// beforeGTID is a transaction, such as that of a DROP TABLE: it is left out, and all that follow.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(:[a-zA-Z_][0-9a-zA-Z_]{0,31})?:[1-9][0-9]*$')",message="spec.bootstrap.backup.target.beforeGTID must be one GTID, such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:77"
	BeforeGTID string `json:"beforeGTID,omitempty"`
}

// BackedUpPair names a pair that has backups in a store.
type BackedUpPair struct {
	// namespace that it was in; the new pair's when absent.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="namespace must be the name of a namespace"
	Namespace string `json:"namespace,omitempty"`
	// name of the pair.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be the name of a DatabasePair"
	Name string `json:"name"`
	// uid of the pair. Pairs that were made one after the other under the same name differ in it;
	// it is needed when several of them have left backups and backupID is Latest.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9][-A-Za-z0-9]*$')",message="uid must be the UID of a DatabasePair"
	UID string `json:"uid,omitempty"`
}

// String is what messages call the dump.
func (d *DumpSource) String() string { return d.Path + " of PersistentVolumeClaim " + d.ClaimName }

// BootstrapStatus is how far the copy or the load is that a new pair begins with.
type BootstrapStatus struct {
	// from is what is copied or loaded.
	From string `json:"from"`
	// member that copies or loads it.
	// +optional
	Member string `json:"member,omitempty"`
	// stage of the copy, in MySQL's words; then how much of the archive is replayed, and accounts. Of a
	// dump: await, check, load, accounts.
	// +optional
	Stage string `json:"stage,omitempty"`
	// bytes of this stage that are copied; of a dump those of the file as it is stored.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// totalBytes of this stage, as mysqld estimates them; of a dump the size of the file.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`
}
