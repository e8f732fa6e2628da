package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The condition types of a DatabasePair. All but OptionalConditionTypes
// are present from the operator's first visit. The reason is the name of the rule that decided, the message a fact and, where
// someone has to act, the verb.
const (
	// ConditionReady: the primary accepts writes, the passive applies and could take over,
	// both members run this generation of the spec, and nothing waits for a person.
	ConditionReady = "Ready"
	// ConditionAvailable: the primary accepts writes and the Service leads to it.
	ConditionAvailable = "Available"
	// ConditionReplicating: both channels carry what they should.
	ConditionReplicating = "Replicating"
	// ConditionFailoverReady: the pair could fail over now without loss.
	ConditionFailoverReady = "FailoverReady"
	// ConditionConsistent: the last comparison found the members' tables equal.
	ConditionConsistent = "Consistent"
	// ConditionProgressing: something is under way or pending.
	ConditionProgressing = "Progressing"
	// ConditionInDoubt: nothing may be done without a missing proof or an administrator's confirmation.
	ConditionInDoubt = "InDoubt"
	// ConditionStalled: the pair does not become ready without a person. Tools that wait for
	// an object by the conventions of kstatus take it for failed.
	ConditionStalled = "Stalled"
	// ConditionAgentOutdated: the agents are older than the operator; they are renewed
	// with the next restart of their pods.
	ConditionAgentOutdated = "AgentOutdated"
	// ConditionBackedUp: the newest backup is as young as the schedule promises. Only pairs with
	// spec.backup have it.
	ConditionBackedUp = "BackedUp"
	// ConditionArchiving: binary logs are in the archive soon after they are written. Only pairs
	// with spec.backup.binlog.enabled have it.
	ConditionArchiving = "Archiving"
	// ConditionRestorable: a restore drill has restored a backup, not too long ago. Only pairs with spec.backup have it.
	ConditionRestorable = "Restorable"
	// ConditionBootstrapped: the data that the pair was to begin with is there. Only pairs with
	// spec.bootstrap have it.
	ConditionBootstrapped = "Bootstrapped"
	// ConditionRouterReady: the router's pods are ready, and the members' agents tell them who is the primary. Only
	// pairs with spec.router.enabled have it. Ready does not depend on it: the pair's own Service needs no router.
	ConditionRouterReady = "RouterReady"
)

// OptionalConditionTypes lists the condition types that a pair has only while its spec asks for what they are about.
var OptionalConditionTypes = []string{
	ConditionBackedUp, ConditionArchiving, ConditionRestorable, ConditionBootstrapped, ConditionRouterReady,
}

// ConditionTypes lists the condition types that every pair has, in the order of the status.
var ConditionTypes = []string{
	ConditionReady, ConditionAvailable, ConditionReplicating, ConditionFailoverReady,
	ConditionConsistent, ConditionProgressing, ConditionInDoubt, ConditionStalled,
	ConditionAgentOutdated,
}

// DatabasePairStatus is the state of a pair as the operator observed it last.
type DatabasePairStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// primary is the member that may accept writes; empty when nobody may.
	// +optional
	Primary string `json:"primary,omitempty"`
	// epoch is the version of the authority; it grows with every change of primary.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// authority is the record of the Lease that the operator accepted last. A Lease that cannot follow from it was
	// modified externally, which is doubt also for the next operator.
	// +optional
	Authority *AuthorityStatus `json:"authority,omitempty"`
	// volumeSize is the largest size that a member's volume has of what was asked for. spec.storage.size can be
	// put back to it.
	// +optional
	VolumeSize *resource.Quantity `json:"volumeSize,omitempty"`
	// binlogVolumeSize is the same of the volumes of binary logs and spec.storage.binlog.size; absent without them.
	// +optional
	BinlogVolumeSize *resource.Quantity `json:"binlogVolumeSize,omitempty"`
	// inSync are the members that have every acknowledged write.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	InSync []string `json:"inSync,omitempty"`
	// lag is how far the passive is behind, rounded.
	// +optional
	Lag string `json:"lag,omitempty"`
	// members, by ordinal.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=2
	Members []MemberStatus `json:"members,omitempty"`
	// privilegedAccounts can write on a read-only member. The operator makes none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	PrivilegedAccounts []string `json:"privilegedAccounts,omitempty"`
	// application is about the application's account.
	// +optional
	Application *ApplicationStatus `json:"application,omitempty"`
	// lastDecision is what the operator decided last: what names the state of the pair.
	// kubectl dbpair why explains it.
	// +optional
	LastDecision *LastDecision `json:"lastDecision,omitempty"`
	// lastFailover is the last failover of this pair.
	// +optional
	LastFailover *LastFailover `json:"lastFailover,omitempty"`
	// drill is what became of the drills by spec.switchover.drill.
	// +optional
	Drill *DrillStatus `json:"drill,omitempty"`
	// checksum is what comparisons of the members' tables found.
	// +optional
	Checksum *ChecksumStatus `json:"checksum,omitempty"`
	// backup is what is known of the pair's backups.
	// +optional
	Backup *BackupStatus `json:"backup,omitempty"`
	// archive is what is known of the archive of binary logs; absent while spec.backup.binlog is off.
	// +optional
	Archive *ArchiveStatus `json:"archive,omitempty"`
	// bootstrap is how far the copy is that the pair begins with; absent once it has data.
	// +optional
	Bootstrap *BootstrapStatus `json:"bootstrap,omitempty"`
	// conditions of the pair.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MemberRole is what a member is to the pair.
// +kubebuilder:validation:Enum=Primary;Passive;Unknown
type MemberRole string

// The roles.
const (
	RolePrimary MemberRole = "Primary"
	RolePassive MemberRole = "Passive"
	RoleUnknown MemberRole = "Unknown"
)

// MemberStatus is one member as last seen.
type MemberStatus struct {
	// name of the member and its pod.
	Name string `json:"name"`
	// role by the authority.
	Role MemberRole `json:"role"`
	// state as its agent reports it, such as Open, Closed, Seeding, or Unreachable.
	State string `json:"state"`
	// podUID of the pod last seen.
	// +optional
	PodUID string `json:"podUID,omitempty"`
	// dataID is the identity of the data on the member's volume.
	// +optional
	DataID string `json:"dataID,omitempty"`
	// node the pod runs on.
	// +optional
	Node string `json:"node,omitempty"`
	// agentVersion is the version of the member's agent.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`
	// mysqlVersion is the version of the member's mysqld.
	// +optional
	MySQLVersion string `json:"mysqlVersion,omitempty"`
	// lagSeconds is how far the member's applier is behind, in seconds.
	// +optional
	LagSeconds *int64 `json:"lagSeconds,omitempty"`
	// copy is how far the member's copy of the primary's data is, while it makes one. It is written at
	// most every 30 seconds.
	// +optional
	Copy *MemberCopy `json:"copy,omitempty"`
	// quarantine is what the member has given up and keeps on its volume; absent when it is empty
	// and nothing was removed from it.
	// +optional
	Quarantine *MemberQuarantine `json:"quarantine,omitempty"`
	// problem is what keeps the member from doing its part, and what to do.
	// +optional
	Problem string `json:"problem,omitempty"`
}

// DecisionKind is what a decision means for the pair.
// +kubebuilder:validation:Enum=Settled;Acts;Waits;Holds;Doubts
type DecisionKind string

// LastDecision is the last decision of the operator about a pair.
type LastDecision struct {
	// rule that decided; docs/failover.md lists them.
	Rule string `json:"rule"`
	// kind: Settled (nothing to do), Acts, Waits (for what is under way), Holds (something is
	// not as the spec demands, and not the operator's to change unasked) or Doubts (nothing may be
	// done without a proof or a person).
	Kind DecisionKind `json:"kind"`
	// since when the same rule has decided the same kind of thing.
	Since metav1.Time `json:"since"`
	// message is the fact that it decided on and, where someone has to act, the command. A
	// message that alone changes is written at most every 30 seconds.
	// +optional
	Message string `json:"message,omitempty"`
}

// LastFailover is the last failover of a pair.
type LastFailover struct {
	// operation is the DatabasePairOperation that records it.
	Operation string `json:"operation"`
	// time at which it ended.
	Time metav1.Time `json:"time"`
	// proof that the old primary was closed.
	Proof string `json:"proof"`
}

// AuthorityStatus is what a Lease said: who may be open, and who has every acknowledged write.
type AuthorityStatus struct {
	// epoch of the record.
	Epoch int64 `json:"epoch"`
	// holder is <member>/<pod UID>; empty for nobody.
	// +optional
	Holder string `json:"holder,omitempty"`
	// leaseDuration that the holder lives by.
	// +optional
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty"`
	// ledger is the state of the ledger: both, solo or joining.
	// +optional
	Ledger string `json:"ledger,omitempty"`
	// ledgerVersion grows with every change of the ledger.
	// +optional
	LedgerVersion int64 `json:"ledgerVersion,omitempty"`
	// ledgerFirst is the member that has every acknowledged write, if only one has.
	// +optional
	LedgerFirst string `json:"ledgerFirst,omitempty"`
	// incarnations are the runs of mysqld for which the ledger holds, by member.
	// +optional
	Incarnations map[string]string `json:"incarnations,omitempty"`
}
