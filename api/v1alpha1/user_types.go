package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DatabasePairUser is an account in mysqld for one more application, with a Secret of its own.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbpu
// +kubebuilder:printcolumn:name="Pair",type=string,JSONPath=`.spec.pairRef.name`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Is the account as the spec says?"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is or is not ready"
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.secretName`,description="The Secret with the connection strings"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DatabasePairUser struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the account is to be.
	Spec UserSpec `json:"spec"`
	// status is what the operator made of it.
	Status UserStatus `json:"status,omitempty"`
}

// DatabasePairUserList is a list of users.
//
// +kubebuilder:object:root=true
type DatabasePairUserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatabasePairUser `json:"items"`
}

// UserSpec is what an account is to be.
//
// +kubebuilder:validation:XValidation:rule="(has(self.replication) && self.replication) == (has(oldSelf.replication) && oldSelf.replication)",message="spec.replication cannot be changed: make another DatabasePairUser"
// +kubebuilder:validation:XValidation:rule="!has(self.replication) || !self.replication || !has(self.grants) || self.grants.all(g, g in ['SELECT', 'SHOW VIEW'])",message="spec.grants must be SELECT and SHOW VIEW only where spec.replication is true: make another DatabasePairUser for what writes"
type UserSpec struct {
	// pairRef names the pair, in the same namespace.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.pairRef cannot be changed: make another DatabasePairUser"
	PairRef UserPairReference `json:"pairRef"`
	// user is the account's name; it may log in from everywhere.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_.-]*$')",message="spec.user must begin with a letter or _ and have letters, digits, _, . and - only"
	// +kubebuilder:validation:XValidation:rule="self != 'root' && !self.startsWith('mysql.') && !self.startsWith('dbpair')",message="spec.user must not be an account of MySQL or of the pair: not root, and nothing that begins with mysql. or dbpair"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.user cannot be changed: make another DatabasePairUser"
	User string `json:"user"`
	// databases are the schemas that grants are about. The ones that are missing are made; none
	// is ever dropped. The connection strings name the first.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(d, d.matches('^[A-Za-z0-9_][A-Za-z0-9_-]*$'))",message="spec.databases must have letters, digits, _ and - only, and not begin with -"
	// +kubebuilder:validation:XValidation:rule="!self.exists(d, d.lowerAscii() in ['mysql', 'sys', 'information_schema', 'performance_schema', 'dbpair'])",message="spec.databases must not have a schema of MySQL or of the pair: mysql, sys, information_schema, performance_schema, dbpair"
	Databases []string `json:"databases,omitempty"`
	// grants are the rights on each of databases. Others, such as SUPER and FILE, are not for
	// applications. The default is SELECT, INSERT, UPDATE and DELETE, with replication SELECT alone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	Grants []UserGrant `json:"grants,omitempty"`
	// replication makes the account one of a reader of the binary logs, such as Debezium, mysqlbinlog
	// or a replica outside of the pair: it has REPLICATION SLAVE and REPLICATION CLIENT, and grants on
	// databases. It reads all databases' changes. It connects to port 3307 of the Service
	// <pair>-passive and nowhere else, and never acknowledges a write.
	// +optional
	Replication bool `json:"replication,omitempty"`
	// maxConnections is the most sessions that the account may have at once; 0 for no limit but
	// that of the server.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// requireTLS turns clients without TLS away.
	// +optional
	// +kubebuilder:default=true
	RequireTLS *bool `json:"requireTLS,omitempty"`
	// passwordSecretRef is a key of a Secret of this namespace with the password: 1 to 255 bytes of
	// UTF-8 without control characters. Without it the operator makes one, and the key password of
	// the Secret in status.secretName is its owner's to change.
	// +optional
	PasswordSecretRef *KeyReference `json:"passwordSecretRef,omitempty"`
	// deletionPolicy says what becomes of the account when this object is deleted: Retain locks
	// it, Drop drops it. Its sessions end, and the databases stay, either way.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy UserDeletionPolicy `json:"deletionPolicy,omitempty"`
}

// UserPairReference names a pair in the same namespace.
type UserPairReference struct {
	// name of the DatabasePair.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
}

// UserGrant is a right on schemas that an application may be given. ALL are all of these.
// +kubebuilder:validation:Enum=ALL;SELECT;INSERT;UPDATE;DELETE;EXECUTE;"SHOW VIEW";CREATE;ALTER;DROP;INDEX;REFERENCES;"CREATE VIEW";"CREATE ROUTINE";"ALTER ROUTINE";TRIGGER;EVENT;"CREATE TEMPORARY TABLES";"LOCK TABLES"
type UserGrant string

// UserDeletionPolicy says what becomes of the account of an object that is deleted.
// +kubebuilder:validation:Enum=Retain;Drop
type UserDeletionPolicy string

// What becomes of the account of an object that is deleted.
const (
	// RetainUser locks it.
	RetainUser UserDeletionPolicy = "Retain"
	// DropUser drops it.
	DropUser UserDeletionPolicy = "Drop"
)

// UserStatus is what the operator made of an account.
type UserStatus struct {
	// conditions: Ready says whether the account is as the spec says, and if not, why.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec that conditions are about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// secretName is the Secret with the password and what each driver takes, with the keys of
	// <pair>-app.
	// +optional
	SecretName string `json:"secretName,omitempty"`
	// formerPasswordUntil is until when the former password is valid beside the one in the
	// Secret; absent when it is not.
	// +optional
	FormerPasswordUntil *metav1.Time `json:"formerPasswordUntil,omitempty"`
	// changedAt is when the account was last made as the spec says, because the spec had
	// changed or the account was altered in mysqld.
	// +optional
	ChangedAt *metav1.Time `json:"changedAt,omitempty"`
}
