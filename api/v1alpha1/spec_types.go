package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StorageSpec is the volume of each member.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.storageClassName) || (has(self.storageClassName) && self.storageClassName == oldSelf.storageClassName)",message="spec.storage.storageClassName cannot be changed: a volume does not move between classes; make a new pair"
// +kubebuilder:validation:XValidation:rule="self.accessMode == oldSelf.accessMode",message="spec.storage.accessMode cannot be changed on existing volumes; make a new pair"
// +kubebuilder:validation:XValidation:rule="has(self.binlog) == has(oldSelf.binlog)",message="spec.storage.binlog cannot be added or removed: the binary logs of existing data do not move between volumes; make a new pair, which can begin with a backup of this one (spec.bootstrap)"
type StorageSpec struct {
	// size of each member's volume. It can grow, never shrink; a size that the volumes were
	// not given can be taken back.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="spec.storage.size must be at least 1Gi"
	Size resource.Quantity `json:"size"`

	// storageClassName of the volumes; the cluster's default class when absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// accessMode of the volumes. ReadWriteOncePod, where the class can do it, lets
	// the cluster itself refuse a second pod.
	// +optional
	// +kubebuilder:default=ReadWriteOnce
	AccessMode AccessMode `json:"accessMode,omitempty"`

	// binlog puts the binary logs of each member on a volume of their own, with the relay
	// logs and what the quarantine keeps of both. Without it everything is on one volume. It is
	// chosen when the pair is made: it can be neither added nor removed later.
	// +optional
	Binlog *BinlogStorageSpec `json:"binlog,omitempty"`

	// persistentVolumeClaimRetentionPolicy says what becomes of the volumes when the
	// pair is deleted.
	// +optional
	// +kubebuilder:default={}
	PersistentVolumeClaimRetentionPolicy RetentionPolicy `json:"persistentVolumeClaimRetentionPolicy,omitempty"`
}

// BinlogStorageSpec is the volume of each member's binary logs. Its accessMode and what becomes of
// it are those of spec.storage.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.storageClassName) || (has(self.storageClassName) && self.storageClassName == oldSelf.storageClassName)",message="spec.storage.binlog.storageClassName cannot be changed: a volume does not move between classes; make a new pair"
type BinlogStorageSpec struct {
	// size of each member's volume for binary logs. It can grow, never shrink; a size that the
	// volumes were not given can be taken back.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="spec.storage.binlog.size must be at least 1Gi"
	Size resource.Quantity `json:"size"`

	// storageClassName of the volumes; the cluster's default class when absent, whatever
	// spec.storage.storageClassName says.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// AccessMode is how a member's volume is claimed.
// +kubebuilder:validation:Enum=ReadWriteOnce;ReadWriteOncePod
type AccessMode string

// RetentionPolicy says what becomes of the volumes.
type RetentionPolicy struct {
	// whenDeleted: Retain keeps the volumes when the pair is deleted; Delete removes
	// them and the data with them.
	// +optional
	// +kubebuilder:default=Retain
	WhenDeleted RetentionAction `json:"whenDeleted,omitempty"`
}

// RetentionAction is Retain or Delete.
// +kubebuilder:validation:Enum=Retain;Delete
type RetentionAction string

// The two retention actions.
const (
	RetainVolumes RetentionAction = "Retain"
	DeleteVolumes RetentionAction = "Delete"
)

// DurabilityMode says when a write is acknowledged to its client.
// +kubebuilder:validation:Enum=Lossless;Async
type DurabilityMode string

// The durability modes.
const (
	// Lossless acknowledges a write when both members have it, or when the authority
	// says that one member is alone.
	Lossless DurabilityMode = "Lossless"
	// Async acknowledges a write when the primary has it.
	Async DurabilityMode = "Async"
)

// OnPassiveLoss says what a Lossless primary does when its passive is lost.
// +kubebuilder:validation:Enum=Continue;Block
type OnPassiveLoss string

// The reactions to the loss of the passive.
const (
	ContinueAlone OnPassiveLoss = "Continue"
	BlockWrites   OnPassiveLoss = "Block"
)

// DurabilitySpec says when a write counts as safe.
type DurabilitySpec struct {
	// mode: Lossless (a write is acknowledged when both members have it) or Async (when
	// the primary has it; the possible loss is bounded by failover.async.maxLag).
	// +optional
	// +kubebuilder:default=Lossless
	Mode DurabilityMode `json:"mode,omitempty"`

	// onPassiveLoss: Continue goes on with one copy after passiveTimeout, and says so;
	// Block lets commits wait until the passive is back.
	// +optional
	// +kubebuilder:default=Continue
	OnPassiveLoss OnPassiveLoss `json:"onPassiveLoss,omitempty"`

	// passiveTimeout is how old the oldest waiting commit may become before the passive
	// counts as lost. One that goes on receiving what it has to acknowledge, such as a large
	// transaction, is not lost.
	// +optional
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="spec.durability.passiveTimeout must be from 1s to 10m"
	PassiveTimeout metav1.Duration `json:"passiveTimeout,omitempty"`
}

// AuthoritySpec times the primary's right to accept writes.
// +kubebuilder:validation:XValidation:rule="duration(self.safetyMargin).getMilliseconds() * 10 >= duration(self.leaseDuration).getMilliseconds() + 4000",message="spec.authority.safetyMargin must be at least 10 % of leaseDuration plus 400ms: it covers clocks that drift by 5 % each and the time a kill takes; raise it"
type AuthoritySpec struct {
	// leaseDuration (T) is how long a primary may stay open after the start of its last
	// confirmed question whether it is still the primary.
	// +optional
	// +kubebuilder:default="6s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2s') && duration(self) <= duration('5m')",message="spec.authority.leaseDuration must be from 2s to 5m"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty"`

	// safetyMargin is waited for beyond leaseDuration before a silent primary counts as
	// closed: at least 10 % of leaseDuration plus 400ms.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1m')",message="spec.authority.safetyMargin must be at most 1m"
	SafetyMargin metav1.Duration `json:"safetyMargin,omitempty"`
}

// FailoverMode says who starts a failover.
// +kubebuilder:validation:Enum=Automatic;Manual
type FailoverMode string

// The failover modes.
const (
	AutomaticFailover FailoverMode = "Automatic"
	ManualFailover    FailoverMode = "Manual"
)

// PromoteOn says which evidence is enough to promote.
// +kubebuilder:validation:Enum=Fenced;AckFenced
type PromoteOn string

// What a promotion waits for.
const (
	// PromoteOnFenced waits for a proof that the old primary is closed.
	PromoteOnFenced PromoteOn = "Fenced"
	// PromoteOnAckFenced is content with the fact that nobody acknowledges the old
	// primary's writes any more; it may answer reads until its lease ends.
	PromoteOnAckFenced PromoteOn = "AckFenced"
)

// AsyncProof says which proof is enough to promote in Async.
// +kubebuilder:validation:Enum=Terminated;Any
type AsyncProof string

// The proofs asked for in Async.
const (
	AsyncProofTerminated AsyncProof = "Terminated"
	AsyncProofAny        AsyncProof = "Any"
)

// FailoverSpec says when the passive takes over by itself.
// +kubebuilder:validation:XValidation:rule="duration(self.warnAfter) <= duration(self.deadAfter)",message="spec.failover.warnAfter must not exceed deadAfter; lower it"
// +kubebuilder:validation:XValidation:rule="duration(self.heartbeatInterval) <= duration(self.warnAfter)",message="spec.failover.heartbeatInterval must not exceed warnAfter; lower it"
type FailoverSpec struct {
	// mode: Automatic, or Manual (a person starts it; the status says when it is due).
	// +optional
	// +kubebuilder:default=Automatic
	Mode FailoverMode `json:"mode,omitempty"`

	// heartbeatInterval is how often the operator and the peer query a member.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('200ms') && duration(self) <= duration('1m')",message="spec.failover.heartbeatInterval must be from 200ms to 1m"
	HeartbeatInterval metav1.Duration `json:"heartbeatInterval,omitempty"`

	// warnAfter is the silence after which an event is raised.
	// +optional
	// +kubebuilder:default="3s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('10m')",message="spec.failover.warnAfter must be at most 10m"
	WarnAfter metav1.Duration `json:"warnAfter,omitempty"`

	// deadAfter is the silence, to the operator and to the peer alike, after which a
	// failover begins.
	// +optional
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="spec.failover.deadAfter must be from 1s to 10m"
	DeadAfter metav1.Duration `json:"deadAfter,omitempty"`

	// initialDelay is how long after its start a member may stay silent.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="spec.failover.initialDelay must be at most 1h"
	InitialDelay metav1.Duration `json:"initialDelay,omitempty"`

	// applyTimeout is how long a candidate may take to apply what it has received.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="spec.failover.applyTimeout must be from 1s to 24h"
	ApplyTimeout metav1.Duration `json:"applyTimeout,omitempty"`

	// maxPerHour is how many automatic failovers may happen in an hour. The next one needs
	// an administrator.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	MaxPerHour int32 `json:"maxPerHour,omitempty"`

	// promoteOn: Fenced, or AckFenced (faster; reads of the old primary may be stale
	// until its lease ends; Lossless only).
	// +optional
	// +kubebuilder:default=Fenced
	PromoteOn PromoteOn `json:"promoteOn,omitempty"`

	// restartInPlaceAfter is how long a crashed primary's agent waits for a failover
	// before it starts mysqld again where it is.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="spec.failover.restartInPlaceAfter must be from 1s to 1h"
	RestartInPlaceAfter metav1.Duration `json:"restartInPlaceAfter,omitempty"`

	// async bounds the loss in durability.mode Async.
	// +optional
	// +kubebuilder:default={}
	Async AsyncFailoverSpec `json:"async,omitempty"`
}

// AsyncFailoverSpec bounds the loss of a failover in Async.
type AsyncFailoverSpec struct {
	// maxLag is the largest lag of the passive with which it is promoted by itself.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('24h')",message="spec.failover.async.maxLag must be at most 24h"
	MaxLag metav1.Duration `json:"maxLag,omitempty"`

	// proof: Terminated (the old primary's process is proven gone) or Any (an expired
	// lease is enough, which a paused virtual machine can outlive: two members could
	// then accept writes).
	// +optional
	// +kubebuilder:default=Terminated
	Proof AsyncProof `json:"proof,omitempty"`
}

// ServicesSpec are the addresses that clients use.
type ServicesSpec struct {
	// primary is the read-write Service, named like the pair.
	// +optional
	// +kubebuilder:default={}
	Primary PrimaryServiceSpec `json:"primary,omitempty"`
	// passive is the read-only Service, <pair>-passive.
	// +optional
	// +kubebuilder:default={}
	Passive PassiveServiceSpec `json:"passive,omitempty"`
	// ipFamilyPolicy of both Services: whether they have addresses of IPv4 and of IPv6. Without it the cluster's default,
	// SingleStack; it can be changed later.
	// +optional
	IPFamilyPolicy IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`
}

// IPFamilyPolicy is which families of addresses a Service has.
// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
type IPFamilyPolicy string

// ExternalTrafficPolicy is which nodes take clients from outside of the cluster.
// +kubebuilder:validation:Enum=Cluster;Local
type ExternalTrafficPolicy string

// ServiceType of the read-write Service.
// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
type ServiceType string

// PrimaryServiceSpec is the read-write Service.
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || (has(self.type) && self.type != 'ClusterIP')",message="spec.services.primary.externalTrafficPolicy is for the types NodePort and LoadBalancer; remove it, or set spec.services.primary.type"
type PrimaryServiceSpec struct {
	// type of the Service.
	// +optional
	// +kubebuilder:default=ClusterIP
	Type ServiceType `json:"type,omitempty"`
	// annotations of the Service, for load balancers.
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	Annotations map[string]string `json:"annotations,omitempty"`
	// externalTrafficPolicy of a Service of type NodePort or LoadBalancer. Cluster, the cluster's default: each node takes
	// clients. Local: the node of the primary alone does, and mysqld sees the addresses of the clients; a load balancer finds
	// another node by its health checks.
	// +optional
	ExternalTrafficPolicy ExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
	// hostnames are further DNS names (a wildcard in the first label is allowed) and IP
	// addresses by which clients reach the Service, such as those of a load balancer or
	// of another cluster domain. They are added to the members' certificates, which are
	// issued again and loaded without a restart, so that clients can verify them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(h, isIP(h) || h.matches('^([*][.])?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'))",message="spec.services.primary.hostnames must be DNS names in lower case, a wildcard in the first label only, or IP addresses; fix the name"
	Hostnames []string `json:"hostnames,omitempty"`
	// onRoleChange is what becomes of clients that connect while no member accepts writes.
	// Hold: they wait without an answer, at most until holdTimeout after the change of roles
	// began, and are relayed to the new primary when it is open; mysqld sees the address of its
	// own pod for them. Error: they get a MySQL error packet at once. Reset: a TCP reset at once.
	// +optional
	// +kubebuilder:default=Hold
	OnRoleChange OnRoleChange `json:"onRoleChange,omitempty"`
	// holdTimeout is how long after the begin of a change of roles clients are held, with
	// onRoleChange Hold: one instant for all of them, after which each gets an error at once.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('30s')",message="spec.services.primary.holdTimeout must be from 100ms to 30s"
	HoldTimeout metav1.Duration `json:"holdTimeout,omitempty"`
	// maxHeld is how many clients a member holds at once; the next one gets an error at once.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20000
	MaxHeld int32 `json:"maxHeld,omitempty"`
	// rejectNewClients says whether a packet rule refuses new connections of clients to a member
	// that serves none, with a TCP reset of the kernel: to mysqld's client port while the member is not
	// the open primary and not a passive that serves readers, and to the door with onRoleChange
	// Reset. None: no rule. PacketReset: each member's pod has the container packet-rule, the only one that runs as
	// root and has a capability (NET_ADMIN), so that its namespace has to admit the Pod Security level
	// privileged. A change restarts the members by a rollout.
	// +optional
	// +kubebuilder:default=None
	RejectNewClients RejectNewClients `json:"rejectNewClients,omitempty"`
	// tls says whether the application's account logs in by TLS only (Required), or also without
	// (Preferred). The connection strings in the Secret <pair>-app use TLS either way.
	// +optional
	// +kubebuilder:default=Required
	TLS TLSMode `json:"tls,omitempty"`
}

// OnRoleChange is what becomes of clients while no member accepts writes.
// +kubebuilder:validation:Enum=Hold;Error;Reset
type OnRoleChange string

// What becomes of clients while no member accepts writes.
const (
	// OnRoleChangeHold has them wait for the new primary, for a bounded time.
	OnRoleChangeHold OnRoleChange = "Hold"
	// OnRoleChangeError answers with a MySQL error packet.
	OnRoleChangeError OnRoleChange = "Error"
	// OnRoleChangeReset answers with a TCP reset.
	OnRoleChangeReset OnRoleChange = "Reset"
)

// RejectNewClients is how clients are kept from a member that serves none, beside its own refusals.
// +kubebuilder:validation:Enum=None;PacketReset
type RejectNewClients string

// How clients are kept from a member that serves none.
const (
	// RejectNewClientsNone leaves it to mysqld and to the door.
	RejectNewClientsNone RejectNewClients = "None"
	// RejectNewClientsPacketReset has the kernel answer with a TCP reset.
	RejectNewClientsPacketReset RejectNewClients = "PacketReset"
)

// PassiveServiceSpec is the read-only Service.
type PassiveServiceSpec struct {
	// enabled makes the Service <pair>-passive.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// maxLag is the lag beyond which the passive is taken out of the Service.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="spec.services.passive.maxLag must be from 1s to 24h"
	MaxLag metav1.Duration `json:"maxLag,omitempty"`
	// fallbackToPrimary leads readers to the primary while no passive is fit.
	// +optional
	FallbackToPrimary bool `json:"fallbackToPrimary,omitempty"`
}

// NetworkSpec limits who may connect, and how long silence is tolerated.
type NetworkSpec struct {
	// keepalive finds clients and servers that vanished without closing their connections.
	// +optional
	// +kubebuilder:default={}
	Keepalive KeepaliveSpec `json:"keepalive,omitempty"`
	// allowFrom limits who may reach the client port; everybody when empty.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	AllowFrom []NetworkPeer `json:"allowFrom,omitempty"`
	// metricsFrom lists who may reach the metrics port of the members beside the operator,
	// such as the pods of Prometheus.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	MetricsFrom []NetworkPeer `json:"metricsFrom,omitempty"`
}

// NetworkPeer is one source that may connect.
// +kubebuilder:validation:XValidation:rule="has(self.podSelector) || has(self.namespaceSelector) || has(self.cidr)",message="spec.network: an entry of allowFrom or metricsFrom needs podSelector, namespaceSelector or cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.cidr) || !(has(self.podSelector) || has(self.namespaceSelector))",message="spec.network: an entry with cidr takes no selector; write two entries"
type NetworkPeer struct {
	// podSelector picks pods, of this namespace or of those of namespaceSelector.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// namespaceSelector picks namespaces.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// cidr is a block of addresses, such as 10.0.0.0/8.
	// +optional
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="spec.network: cidr must be a block of addresses such as 10.0.0.0/8"
	CIDR string `json:"cidr,omitempty"`
}

// KeepaliveSpec are the TCP keepalive settings of the members' pods.
type KeepaliveSpec struct {
	// idle is the silence before the first probe, in whole seconds.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('2h')",message="spec.network.keepalive.idle must be from 1s to 2h"
	Idle metav1.Duration `json:"idle,omitempty"`
	// interval between probes, in whole seconds.
	// +optional
	// +kubebuilder:default="3s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="spec.network.keepalive.interval must be from 1s to 10m"
	Interval metav1.Duration `json:"interval,omitempty"`
	// probes without an answer after which a connection is given up.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Probes int32 `json:"probes,omitempty"`
}

// AntiAffinity is how strongly the members are kept apart.
// +kubebuilder:validation:Enum=Required;Preferred;None
type AntiAffinity string

// The strengths of anti-affinity.
const (
	AntiAffinityRequired  AntiAffinity = "Required"
	AntiAffinityPreferred AntiAffinity = "Preferred"
	AntiAffinityNone      AntiAffinity = "None"
)

// PlacementSpec keeps the two members apart.
type PlacementSpec struct {
	// hostAntiAffinity keeps the members on different nodes.
	// +optional
	// +kubebuilder:default=Required
	HostAntiAffinity AntiAffinity `json:"hostAntiAffinity,omitempty"`
	// zoneAntiAffinity keeps the members in different zones.
	// +optional
	// +kubebuilder:default=Preferred
	ZoneAntiAffinity AntiAffinity `json:"zoneAntiAffinity,omitempty"`
}

// PodTemplateSpec is what may be said about the members' pods.
type PodTemplateSpec struct {
	// metadata that the pods get beside the operator's own.
	// +optional
	// +kubebuilder:default={}
	Metadata PodMetadata `json:"metadata,omitempty"`
	// spec of the pods.
	// +optional
	// +kubebuilder:default={}
	Spec PodSpec `json:"spec,omitempty"`
}

// PodMetadata are labels and annotations of the pods.
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(k, !k.contains('dbpair.io/') && !k.startsWith('app.kubernetes.io/'))",message="spec.podTemplate.metadata.labels: keys with dbpair.io/ or app.kubernetes.io/ belong to the operator; use other keys"
// +kubebuilder:validation:XValidation:rule="!has(self.annotations) || self.annotations.all(k, !k.contains('dbpair.io/'))",message="spec.podTemplate.metadata.annotations: keys with dbpair.io/ belong to the operator; use other keys"
type PodMetadata struct {
	// labels of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	Labels map[string]string `json:"labels,omitempty"`
	// annotations of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PodSpec is the allow-list of pod settings.
type PodSpec struct {
	// nodeSelector of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=20
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations of the pods.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// resources of the mysqld container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// imagePullSecrets of the pods.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// priorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
}
