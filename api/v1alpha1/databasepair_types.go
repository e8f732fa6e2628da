package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DatabasePair is two mysqld pods that replicate to each other: one, the primary,
// accepts writes; the other, the passive, is kept read-only and takes over.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbp,categories=all
// +kubebuilder:printcolumn:name="Primary",type=string,JSONPath=`.status.primary`,description="The member that may accept writes"
// +kubebuilder:printcolumn:name="Epoch",type=integer,JSONPath=`.status.epoch`,description="Version of the authority; grows with every change of primary"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="Does the primary accept writes?"
// +kubebuilder:printcolumn:name="Failover-Ready",type=string,JSONPath=`.status.conditions[?(@.type=="FailoverReady")].status`,description="Could the pair fail over now without loss?"
// +kubebuilder:printcolumn:name="Consistent",type=string,JSONPath=`.status.conditions[?(@.type=="Consistent")].status`,description="Did the last comparison find the members equal?"
// +kubebuilder:printcolumn:name="Lag",type=string,JSONPath=`.status.lag`,description="How far the passive is behind"
// +kubebuilder:printcolumn:name="Backup",type=date,priority=1,JSONPath=`.status.backup.lastSuccessTime`,description="Age of the last backup"
// +kubebuilder:printcolumn:name="Restorable",type=date,priority=1,JSONPath=`.status.backup.restoreDrill.lastSuccessTime`,description="Age of the last proof that a backup can be restored"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the pair is or is not ready"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters: the names of the pods, volumes and Secrets are derived from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must start with a lower-case letter and hold only lower-case letters, digits and '-': it becomes the name of a Service"
// +kubebuilder:validation:XValidation:rule="quantity(string(self.spec.storage.size)).compareTo(quantity(string(oldSelf.spec.storage.size))) >= 0 || (has(self.status) && has(self.status.volumeSize) && quantity(string(self.spec.storage.size)).compareTo(quantity(string(self.status.volumeSize))) >= 0)",message="spec.storage.size cannot shrink below the size of the volumes: a volume only grows; put the former size back"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.storage.binlog) || !has(oldSelf.spec.storage.binlog) || quantity(string(self.spec.storage.binlog.size)).compareTo(quantity(string(oldSelf.spec.storage.binlog.size))) >= 0 || (has(self.status) && has(self.status.binlogVolumeSize) && quantity(string(self.spec.storage.binlog.size)).compareTo(quantity(string(self.status.binlogVolumeSize))) >= 0)",message="spec.storage.binlog.size cannot shrink below the size of the volumes: a volume only grows; put the former size back"
type DatabasePair struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the pair.
	Spec DatabasePairSpec `json:"spec,omitempty"`
	// status is the state of the pair as the operator observed it last.
	Status DatabasePairStatus `json:"status,omitempty"`
}

// DatabasePairList is a list of pairs.
//
// +kubebuilder:object:root=true
type DatabasePairList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatabasePair `json:"items"`
}

// DatabasePairSpec is the desired state of a pair.
// +kubebuilder:validation:XValidation:rule="self.failover.promoteOn != 'AckFenced' || self.durability.mode == 'Lossless'",message="spec.failover.promoteOn AckFenced needs durability.mode Lossless: in Async writes are acknowledged without the passive, so its silence fences nothing; use Fenced"
// +kubebuilder:validation:XValidation:rule="duration(self.authority.leaseDuration) >= duration(self.failover.heartbeatInterval) + duration(self.failover.heartbeatInterval) + duration(self.failover.heartbeatInterval) + duration(self.failover.heartbeatInterval)",message="spec.authority.leaseDuration must be at least four times spec.failover.heartbeatInterval; raise it or lower the interval"
// +kubebuilder:validation:XValidation:rule="has(self.bootstrap) == has(oldSelf.bootstrap)",message="spec.bootstrap can neither be added to a pair nor removed: it counts once, when the pair's first data is made; make another pair"
type DatabasePairSpec struct {
	// mysql says which mysqld runs and with which settings.
	// +optional
	// +kubebuilder:default={}
	MySQL MySQLSpec `json:"mysql,omitempty"`

	// storage is the volume of each member.
	Storage StorageSpec `json:"storage"`

	// durability says when a write counts as safe.
	// +optional
	// +kubebuilder:default={}
	Durability DurabilitySpec `json:"durability,omitempty"`

	// authority times how long a primary may accept writes without a new
	// confirmation that it is the primary.
	// +optional
	// +kubebuilder:default={leaseDuration: "6s", safetyMargin: "1s"}
	Authority AuthoritySpec `json:"authority,omitempty"`

	// failover says when the passive takes over by itself.
	// +optional
	// +kubebuilder:default={heartbeatInterval: "1s", warnAfter: "3s", deadAfter: "5s"}
	Failover FailoverSpec `json:"failover,omitempty"`

	// switchover is how a planned switchover is done where its operation does not say otherwise.
	// +optional
	// +kubebuilder:default={oldPrimary: "DeletePod", drainTimeout: "10s", onTimeout: "Cut", deadline: "60s"}
	Switchover SwitchoverSpec `json:"switchover,omitempty"`

	// rollout says who makes the members' pods again after a change of the spec that a running
	// mysqld cannot take over, such as another image.
	// +optional
	// +kubebuilder:default={mode: "Automatic"}
	Rollout RolloutSpec `json:"rollout,omitempty"`

	// agent is about the agents in the members' pods, which come with the operator:
	// when members get that of a newer one.
	// +optional
	// +kubebuilder:default={}
	Agent AgentSpec `json:"agent,omitempty"`

	// rejoin says what becomes of the data of members that come back.
	// +optional
	// +kubebuilder:default={}
	Rejoin RejoinSpec `json:"rejoin,omitempty"`

	// checksum says when and how the members' tables are compared.
	// +optional
	// +kubebuilder:default={}
	Checksum ChecksumSpec `json:"checksum,omitempty"`

	// backup says where backups go, when they are taken and how long they are kept. Without it the
	// pair is not backed up.
	// +optional
	Backup *BackupSpec `json:"backup,omitempty"`

	// bootstrap says what data a new pair begins with; without it, it begins empty. It counts
	// once, cannot be changed, and does nothing to volumes that hold data.
	// +optional
	Bootstrap *BootstrapSpec `json:"bootstrap,omitempty"`

	// application is about the application's account.
	// +optional
	// +kubebuilder:default={}
	Application ApplicationSpec `json:"application,omitempty"`

	// services are the addresses that clients use.
	// +optional
	// +kubebuilder:default={}
	Services ServicesSpec `json:"services,omitempty"`

	// router is an optional HAProxy before the pair.
	// +optional
	// +kubebuilder:default={}
	Router RouterSpec `json:"router,omitempty"`

	// network limits who may connect, and how long silence is tolerated.
	// +optional
	// +kubebuilder:default={}
	Network NetworkSpec `json:"network,omitempty"`

	// monitoring is what the members' pods offer for monitoring beside the agent's own metrics.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitempty"`

	// placement keeps the two members apart.
	// +optional
	// +kubebuilder:default={}
	Placement PlacementSpec `json:"placement,omitempty"`

	// podTemplate is what may be said about the members' pods. It is an allow-list:
	// what is not here belongs to the operator.
	// +optional
	// +kubebuilder:default={}
	PodTemplate PodTemplateSpec `json:"podTemplate,omitempty"`

	// operationHistoryLimit is how many finished DatabasePairOperations of this pair
	// are kept; the oldest go first.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	OperationHistoryLimit int32 `json:"operationHistoryLimit,omitempty"`

	// paused stops every change the operator would make to the pair's objects and
	// roles. Fencing goes on: agents still close a primary that lost its authority.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// hibernate ends both members in order, once each has the same data, and keeps their volumes,
	// Secrets and Services. The pair costs no CPU or memory then and serves nobody. When it is
	// taken away, the last primary goes on. A pair that is not in sync goes on until it is.
	// +optional
	Hibernate bool `json:"hibernate,omitempty"`
}

// ImagePullPolicy is a container's image pull policy.
// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
type ImagePullPolicy string

// MySQLSpec says which mysqld runs and with which settings.
type MySQLSpec struct {
	// image holds mysqld 8.4 or newer on its PATH.
	// +optional
	// +kubebuilder:default="mysql:9.7"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imagePullPolicy of the image.
	// +optional
	// +kubebuilder:default=IfNotPresent
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`

	// config are settings of mysqld, option name to value: a string, a number or a boolean,
	// such as innodb_buffer_pool_size: 2G, max_connections: 200, local_infile: true. Options that
	// the operator owns (server_id, the read_only family, replication, binlog, ports, paths) are
	// refused.
	// +optional
	// +kubebuilder:validation:MaxProperties=100
	Config map[string]MySQLOptionValue `json:"config,omitempty"`

	// components are installed on both members when mysqld starts, in this order: names as in
	// component_validate_password, with or without file:// before. component_classic_hashing is
	// there by default. One that is no longer listed is removed at the next start.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.matches('^(file://)?[A-Za-z0-9_]+$'))",message="spec.mysql.components must be names such as component_validate_password, without a path and without .so; fix the name"
	Components []string `json:"components,omitempty"`

	// plugins are libraries of mysqld's plugin_dir, such as auth_socket.so, whose plugins both
	// members load when mysqld starts. Those that the operator loads by itself, and those that
	// replicate or encrypt, are refused.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.all(p, p.matches('^[A-Za-z0-9_-]+[.]so$'))",message="spec.mysql.plugins must be files of plugin_dir such as auth_socket.so, without a path; fix the name"
	Plugins []string `json:"plugins,omitempty"`

	// binlogRetention is how long binary logs are kept. Nothing that the other member
	// has not received is ever removed.
	// +optional
	// +kubebuilder:default="72h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="spec.mysql.binlogRetention must be at least 10m: a member that was away that long would have to be copied again"
	BinlogRetention metav1.Duration `json:"binlogRetention,omitempty"`

	// binlogMaxSize caps all binary logs together: a quantity (10Gi) or a share of the
	// volume that they are on (30%). What the other member has not received is kept beyond it, except by a
	// primary that is alone: then it is removed at this size, and the other member is copied
	// when it is back.
	// +optional
	// +kubebuilder:default="30%"
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([1-9]|[1-8][0-9]|90)%$') || (isQuantity(self) && quantity(self).isGreaterThan(quantity('99Mi')))",message="spec.mysql.binlogMaxSize must be a share from 1% to 90% or a quantity of at least 100Mi"
	BinlogMaxSize string `json:"binlogMaxSize,omitempty"`
}
