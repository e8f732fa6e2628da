package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/pair"
)

// DatabasePairOperation is the record of one thing done to a pair: made by a person, a
// schedule or the operator. Its spec never changes; a finished one never changes at all.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbpo
// +kubebuilder:printcolumn:name="Pair",type=string,JSONPath=`.spec.pairRef.name`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Proof",type=string,JSONPath=`.status.proof`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DatabasePairOperation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is to be done.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec of an operation cannot be changed: it is a record; make a new operation"
	Spec OperationSpec `json:"spec"`
	// status is how it goes.
	// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || !(oldSelf.phase in ['Succeeded','Failed','Abandoned']) || self == oldSelf",message="status of a finished operation never changes: it is a record; make a new operation"
	Status OperationStatus `json:"status,omitempty"`
}

// DatabasePairOperationList is a list of operations.
//
// +kubebuilder:object:root=true
type DatabasePairOperationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatabasePairOperation `json:"items"`
}

// OperationType is what kind of thing is done.
// +kubebuilder:validation:Enum=Failover;Adopt;Fence;ConfirmDead;ForcePromote;Release;Reseed;Switchover;Checksum;Repair;Backup;Expire;Drill
type OperationType string

// The operation types.
const (
	// OperationFailover moves the authority to the other member after the primary was
	// lost. The operator makes it by itself, or a person in failover.mode Manual.
	OperationFailover OperationType = "Failover"
	// OperationAdopt makes one member the authoritative one after the authority was
	// lost or rolled back.
	OperationAdopt OperationType = "Adopt"
	// OperationFence revokes the authority and closes the primary until it is released.
	OperationFence OperationType = "Fence"
	// OperationConfirmDead is an administrator's confirmation that a member cannot run any more.
	OperationConfirmDead OperationType = "ConfirmDead"
	// OperationForcePromote promotes a member that may lack acknowledged writes.
	OperationForcePromote OperationType = "ForcePromote"
	// OperationRelease ends a fence.
	OperationRelease OperationType = "Release"
	// OperationReseed has the passive's data replaced by a copy of the primary's, on the same
	// volume.
	OperationReseed OperationType = "Reseed"
	// OperationSwitchover makes the other member the primary, in order and without loss. A
	// pair that is not fit for it is waited for until the deadline.
	OperationSwitchover OperationType = "Switchover"
	// OperationChecksum compares the members' tables. A person makes it, or the schedule.
	OperationChecksum OperationType = "Checksum"
	// OperationRepair writes the differing rows of one table again through replication.
	OperationRepair OperationType = "Repair"
	// OperationBackup takes a backup of the passive to spec.backup.destination of the pair. A
	// person makes it, or the schedule.
	OperationBackup OperationType = "Backup"
	// OperationExpire removes one backup from the store, or those that spec.backup.retention of the
	// pair no longer needs. A person makes it, or the operator for a DatabasePairBackup that is deleted.
	OperationExpire OperationType = "Expire"
	// OperationRestoreDrill restores the newest backup into a mysqld of its own that nobody uses, in order to prove that
	// it can be restored. A person makes it, or the schedule. Drills of the switchover are of type Switchover.
	OperationRestoreDrill OperationType = "Drill"
)

// ReseedSource is what a re-seed copies.
// +kubebuilder:validation:Enum=Primary;Backup
type ReseedSource string

// What a re-seed copies.
const (
	// ReseedFromPrimary copies the primary.
	ReseedFromPrimary ReseedSource = "Primary"
	// ReseedFromBackup copies the newest backup of the pair, and replicates what followed from the primary.
	ReseedFromBackup ReseedSource = "Backup"
)

// ByJob reports whether a Job does the operation, beside the pair's roles.
func (t OperationType) ByJob() bool {
	return t.Compares() || t.ReachesStore() || t == OperationRestoreDrill
}

// ReachesStore reports whether the operation's Job changes the store of the pair's backups, and says what is there.
func (t OperationType) ReachesStore() bool { return t == OperationBackup || t == OperationExpire }

// Compares reports whether the operation compares the members' tables or repairs one.
func (t OperationType) Compares() bool { return t == OperationChecksum || t == OperationRepair }

// OperationSpec is what is to be done.
// +kubebuilder:validation:XValidation:rule="self.type in ['Adopt','ConfirmDead','ForcePromote','Reseed'] ? has(self.target) : true",message="spec.target is required for this type: name the member"
// +kubebuilder:validation:XValidation:rule="self.type in ['Adopt','ConfirmDead','ForcePromote'] ? has(self.confirm) : true",message="spec.confirm is required for this type: <pair>/<epoch>, as kubectl dbpair status shows them; it keeps an old manifest from being replayed"
// +kubebuilder:validation:XValidation:rule="has(self.giveUp) && self.giveUp ? self.type == 'Reseed' && has(self.confirm) : true",message="spec.giveUp is for type Reseed and needs spec.confirm: <pair>/<epoch>, as kubectl dbpair status shows them"
// +kubebuilder:validation:XValidation:rule="has(self.from) ? self.type == 'Reseed' : true",message="spec.from is for type Reseed only: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.checksum) ? self.type == 'Checksum' : true",message="spec.checksum is for type Checksum only: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.repair) == (self.type == 'Repair')",message="spec.repair belongs to type Repair: name the table there, and nowhere else"
// +kubebuilder:validation:XValidation:rule="has(self.repair) && !(has(self.repair.dryRun) && self.repair.dryRun) ? has(self.confirm) : true",message="spec.confirm is required for a repair that writes: <pair>/<epoch>, as kubectl dbpair status shows them; or set spec.repair.dryRun"
// +kubebuilder:validation:XValidation:rule="has(self.deadline) ? self.type in ['Checksum','Repair','Backup','Expire','Drill','Switchover'] : true",message="spec.deadline is for the types Checksum, Repair, Backup, Expire, Drill and Switchover: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.deadline) && self.type in ['Checksum','Repair','Backup','Expire','Drill'] ? duration(self.deadline) >= duration('1m') : true",message="spec.deadline must be from 1m to 720h"
// +kubebuilder:validation:XValidation:rule="has(self.deadline) && self.type == 'Switchover' ? duration(self.deadline) <= duration('24h') : true",message="spec.deadline of a switchover must be from 5s to 24h"
// +kubebuilder:validation:XValidation:rule="has(self.switchover) ? self.type == 'Switchover' : true",message="spec.switchover is for type Switchover only: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.switchover) && has(self.switchover.drainTimeout) && has(self.deadline) ? duration(self.switchover.drainTimeout) < duration(self.deadline) : true",message="spec.switchover.drainTimeout must be shorter than spec.deadline; lower it or raise the deadline"
// +kubebuilder:validation:XValidation:rule="has(self.backup) ? self.type == 'Backup' : true",message="spec.backup is for type Backup only: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.expire) ? self.type == 'Expire' : true",message="spec.expire is for type Expire only: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.discardUnapplied) && self.discardUnapplied ? self.type == 'ForcePromote' : true",message="spec.discardUnapplied is for type ForcePromote only: remove it"
type OperationSpec struct {
	// pairRef is the pair, in the same namespace.
	PairRef PairReference `json:"pairRef"`
	// type of the operation.
	Type OperationType `json:"type"`
	// target is the member it is about.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`
	// giveUp lets a re-seed give up transactions that only the target has. Without it an operation of type Reseed fails when there are any, or
	// when they cannot be compared. The target's binary logs are kept in its quarantine.
	// +optional
	GiveUp bool `json:"giveUp,omitempty"`
	// from is what a re-seed copies: Primary, which is also meant when it is absent, or Backup, the newest backup in
	// spec.backup.destination of the pair, whose copy then replicates from the primary. A backup that cannot be served, or
	// whose sequel is in no binary log of the primary any more, ends the operation before the target's data is given up; a
	// copy of it that fails later is made of the primary instead, which the message says.
	// +optional
	From ReseedSource `json:"from,omitempty"`
	// reason is for anyone who reads the record.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// confirm is "<pair>/<epoch>": the operation does nothing at any other epoch.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z][-a-z0-9]*/[0-9]+$`
	// +kubebuilder:validation:MaxLength=64
	Confirm string `json:"confirm,omitempty"`
	// discardUnapplied allows a forced promotion to give up what the target has received and cannot
	// apply, because its applier stopped with an error or has not finished within failover.applyTimeout.
	// The relay log is saved in the quarantine on the target's volume before. Without it nothing
	// that was received is ever given up.
	// +optional
	DiscardUnapplied bool `json:"discardUnapplied,omitempty"`
	// deadline ends a comparison, a repair, a backup, an expiry or a restore drill that is not done by then (24h when absent), and
	// gives up a switchover that has not revoked the primary by then (spec.switchover.deadline of the pair when absent).
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('720h')",message="spec.deadline must be from 1m to 720h, of a switchover from 5s to 24h"
	Deadline *metav1.Duration `json:"deadline,omitempty"`
	// checksum are the parameters of type Checksum.
	// +optional
	Checksum *ChecksumParameters `json:"checksum,omitempty"`
	// switchover are the parameters of type Switchover.
	// +optional
	Switchover *SwitchoverParameters `json:"switchover,omitempty"`
	// repair are the parameters of type Repair.
	// +optional
	Repair *RepairParameters `json:"repair,omitempty"`
	// backup are the parameters of type Backup.
	// +optional
	Backup *BackupParameters `json:"backup,omitempty"`
	// expire are the parameters of type Expire. Without them the retention is applied.
	// +optional
	Expire *ExpireParameters `json:"expire,omitempty"`
}

// PairReference names a pair in the same namespace.
type PairReference struct {
	// name of the DatabasePair.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// uid of that object: with it the operation does nothing to another one that has its
	// name later. The kubectl plugin sets it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
}

// OperationPhase is how far an operation is.
type OperationPhase = pair.OperationPhase

// The phases. The last three are terminal.
const (
	OperationPending   = pair.OperationPending
	OperationRunning   = pair.OperationRunning
	OperationSucceeded = pair.OperationSucceeded
	OperationFailed    = pair.OperationFailed
	OperationAbandoned = pair.OperationAbandoned
)

// OperationStatus is how an operation goes.
type OperationStatus struct {
	// phase of the operation.
	// +optional
	Phase OperationPhase `json:"phase,omitempty"`
	// rule by which it was begun.
	// +optional
	Rule string `json:"rule,omitempty"`
	// epoch of the authority when it began.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// from is the primary at its begin.
	// +optional
	From string `json:"from,omitempty"`
	// to is the primary at its end.
	// +optional
	To string `json:"to,omitempty"`
	// proof that the former primary was closed.
	// +optional
	Proof string `json:"proof,omitempty"`
	// gtids of the two members as far as they could be asked, in a failover.
	// +optional
	GTIDs *OperationGTIDs `json:"gtids,omitempty"`
	// discarded is what the promoted member had received, could not apply and gave up, as
	// spec.discardUnapplied allows; of a re-seed, what the member had and the primary lacked. Absent when nothing was given up.
	// +optional
	Discarded *DiscardedTransactions `json:"discarded,omitempty"`
	// writeGap is the time for which no member accepted writes, from the end of the former primary's to the
	// beginning of the new one's, as the agents measured them; some milliseconds exact. Clients notice
	// what the move of the Service takes beside. When the former primary's agent could not say it any more,
	// it is the time from its last answer to the operator or to its peer, and longer than the truth by what lies
	// between two answers. Empty when only one of the two was heard.
	// +optional
	WriteGap *metav1.Duration `json:"writeGap,omitempty"`
	// drain is what became of the sessions of clients, in a planned switchover.
	// +optional
	Drain *OperationDrain `json:"drain,omitempty"`
	// held is the account of the clients who waited at the new primary's door, in a failover or a planned switchover;
	// absent when none did.
	// +optional
	Held *OperationHeld `json:"held,omitempty"`
	// message says how it ended, and what to do if something has to be done.
	// +optional
	Message string `json:"message,omitempty"`
	// startTime of the operation.
	// +optional
	StartTime *metav1.MicroTime `json:"startTime,omitempty"`
	// completionTime of the operation.
	// +optional
	CompletionTime *metav1.MicroTime `json:"completionTime,omitempty"`
	// progress of a comparison, a repair, a backup or a restore drill.
	// +optional
	Progress *OperationProgress `json:"progress,omitempty"`
	// result of a comparison, a repair, a backup or a restore drill.
	// +optional
	Result *OperationResult `json:"result,omitempty"`
	// timeline of the steps.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Timeline []OperationEvent `json:"timeline,omitempty"`
}

// OperationGTIDs says what the members had, as sets of GTIDs. A set that is too long is cut off and ends in "…".
type OperationGTIDs struct {
	// received by the candidate when it had stopped receiving: executed included.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Received string `json:"received,omitempty"`
	// executed by the candidate at that time.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Executed string `json:"executed,omitempty"`
	// promoted is what the candidate had executed when it was appointed.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Promoted string `json:"promoted,omitempty"`
	// former is what the binlog of the former primary held, by its last answer, commits that waited for an
	// acknowledgement included.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Former string `json:"former,omitempty"`
}

// DiscardedTransactions are transactions that a member gave up.
type DiscardedTransactions struct {
	// gtids that were given up. A set that is too long is cut off and ends in "…".
	// +kubebuilder:validation:MaxLength=2048
	GTIDs string `json:"gtids"`
	// transactions is their number.
	Transactions int64 `json:"transactions"`
	// directory on the member's volume in which the relay log, or of a re-seed the binary logs, were saved before
	// (kubectl dbpair quarantine).
	// +kubebuilder:validation:MaxLength=1024
	Directory string `json:"directory"`
	// files are the names of the logs there.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=255
	Files []string `json:"files,omitempty"`
	// list of the first transactions that a re-seed gave up.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	List []DiscardedTransaction `json:"list,omitempty"`
	// notListed is how many more there are than list has.
	// +optional
	NotListed int64 `json:"notListed,omitempty"`
	// notSaved are those of gtids that no saved binary log holds. A set that is too long is cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	NotSaved string `json:"notSaved,omitempty"`
	// problem says why not all is known of what was given up.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Problem string `json:"problem,omitempty"`
}

// DiscardedTransaction is one transaction that a re-seed gave up.
type DiscardedTransaction struct {
	// gtid of the transaction; absent for one without.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	GTID string `json:"gtid,omitempty"`
	// time of its commit.
	Time metav1.Time `json:"time"`
	// tables whose rows it changed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Tables []DiscardedRows `json:"tables,omitempty"`
	// statement that is no change of rows, such as ALTER TABLE, shortened; the first one of the transaction.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Statement string `json:"statement,omitempty"`
}

// DiscardedRows counts the rows of one table that a transaction changed.
type DiscardedRows struct {
	// table is "schema.table".
	// +kubebuilder:validation:MaxLength=132
	Table string `json:"table"`
	// inserted rows.
	// +optional
	Inserted int64 `json:"inserted,omitempty"`
	// updated rows.
	// +optional
	Updated int64 `json:"updated,omitempty"`
	// deleted rows.
	// +optional
	Deleted int64 `json:"deleted,omitempty"`
}

// OperationEvent is one step of an operation.
type OperationEvent struct {
	// step that was done.
	Step string `json:"step"`
	// time at which it was done.
	Time metav1.MicroTime `json:"time"`
	// took is how long it took.
	// +optional
	Took *metav1.Duration `json:"took,omitempty"`
	// message is what was seen.
	// +optional
	Message string `json:"message,omitempty"`
}
