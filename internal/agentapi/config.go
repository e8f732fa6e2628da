package agentapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// ConfigFile is the key of the ConfigMap "<pair>-config" and, below ConfigDir, the file
// in which an agent finds its Config as JSON. The directory is mounted as a whole, so
// that a change arrives while the agent runs.
const ConfigFile = "agent.json"

// Directories of the mysqld container in which an agent finds what the operator gives
// it. All are read-only; all are replaced as a whole when their source changes.
const (
	ConfigDir   = "/etc/dbpair/config"
	InternalDir = "/etc/dbpair/internal" // one file per password, named PasswordFile*
	MonitorDir  = "/etc/dbpair/monitor"  // the monitor account's, for the exporter of mysqld's counters
	TLSDirBase  = "/etc/dbpair/tls-"     // followed by the ordinal: ca.crt, tls.crt, tls.key
	TokenDir    = "/var/run/secrets/kubernetes.io/serviceaccount"
	DataDir     = "/data"
	BinlogDir   = "/binlog" // where there is a volume for binary logs
	RunDir      = "/run/dbpair"
	BinDir      = "/opt/dbpair"

	// PacketRuleDir is shared with the container of the packet rule, if there is one. The agent's
	// socket PacketRuleSocket is there.
	PacketRuleDir    = "/run/dbpair-packet-rule"
	PacketRuleSocket = "agent.sock"
)

// Files below InternalDir, and keys of the Secret "<pair>-internal". The application's
// password comes from the Secret "<pair>-app" and is mounted beside them.
const (
	PasswordFileRoot        = "root"
	PasswordFileReplication = "replication"
	PasswordFileClone       = "clone"
	PasswordFileMonitor     = "monitor"
	PasswordFileChecksum    = "checksum"
	PasswordFileRepair      = "repair"
	PasswordFileApp         = "app"
)

// FormerPasswords are those password files of which an agent also takes the former password
// while a rotation is on its way: it logs in with them.
func FormerPasswords() []string { return []string{PasswordFileRoot, PasswordFileReplication} }

// FormerPasswordFile is the file, and the key of the Secret "<pair>-internal", with the former
// password of a password file; it is there only while a rotation is on its way.
func FormerPasswordFile(name string) string { return "former." + name }

// PasswordsRevision names the contents of the password files, by name, without telling them.
// Agents report the revision that the accounts of their mysqld have.
func PasswordsRevision(passwords map[string]string) string {
	hash := sha256.New()
	for _, name := range PasswordFiles() {
		fmt.Fprintf(hash, "%s\x00%s\x00", name, passwords[name])
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

// PasswordFiles are all password files that an agent must have.
func PasswordFiles() []string {
	return []string{
		PasswordFileRoot, PasswordFileReplication, PasswordFileClone,
		PasswordFileMonitor, PasswordFileChecksum, PasswordFileRepair, PasswordFileApp,
	}
}

// Environment of the mysqld container.
const (
	EnvPodName      = "POD_NAME"
	EnvPodNamespace = "POD_NAMESPACE"
	EnvPodUID       = "POD_UID"
	EnvPodIP        = "POD_IP"
	EnvNodeName     = "NODE_NAME"
	EnvPairName     = "PAIR_NAME"
	EnvPairUID      = "PAIR_UID"
	// EnvBinlogDir is where the volume of binary and relay logs is mounted; absent without one.
	EnvBinlogDir = "BINLOG_DIR"
	// EnvGracePeriod is the pod's terminationGracePeriodSeconds. A deletion, an eviction or a
	// node that shuts down can give less, which no container learns.
	EnvGracePeriod = "GRACE_PERIOD_SECONDS"
	// EnvPodIPs are all addresses of the pod, with commas; in the container of the packet rule only.
	EnvPodIPs = "POD_IPS"
)

// DefaultMaxLockTime is that of a pair that says nothing about it.
const DefaultMaxLockTime = 250 * time.Millisecond

// DefaultPassiveMaxLag is that of a pair that says nothing about it.
const DefaultPassiveMaxLag = 10 * time.Second

// The retention of the quarantine of a pair that says nothing about it.
const (
	DefaultQuarantineTime = 30 * 24 * time.Hour
	DefaultQuarantineSize = "20%"
)

// Values of Config.OnRoleChange.
const (
	// OnRoleChangeHold keeps clients waiting and relays them to the new primary's mysqld.
	OnRoleChangeHold = "Hold"
	// OnRoleChangeError answers with a MySQL error packet.
	OnRoleChangeError = "Error"
	// OnRoleChangeReset answers with a TCP reset.
	OnRoleChangeReset = "Reset"
)

// Config is what the operator tells both agents of a pair. Durations are nanoseconds in
// JSON. Fields are only ever added.
type Config struct {
	PairName  string   `json:"pairName"`
	PairUID   pair.UID `json:"pairUID"`
	Namespace string   `json:"namespace"`
	// Domain follows a member's name in its address: "<pair>-pods.<namespace>.svc".
	Domain string `json:"domain"`

	// OperatorKeys name the public keys of the operator, as signing.KeyID does. Commands are
	// taken only from a client with one of them; without any, from every client whose
	// certificate has the operator's name.
	OperatorKeys []string `json:"operatorKeys,omitempty"`

	// LeaseDuration is T.
	LeaseDuration       time.Duration `json:"leaseDuration"`
	SafetyMargin        time.Duration `json:"safetyMargin"`
	HeartbeatInterval   time.Duration `json:"heartbeatInterval"`
	DeadAfter           time.Duration `json:"deadAfter"`
	ApplyTimeout        time.Duration `json:"applyTimeout"`
	RestartInPlaceAfter time.Duration `json:"restartInPlaceAfter"`

	// Lossless: a commit waits for the peer unless the ledger says otherwise.
	Lossless bool `json:"lossless"`
	// PassiveTimeout is the age of a waiting commit at which the passive counts as lost.
	PassiveTimeout time.Duration `json:"passiveTimeout"`

	// BinlogRetention and BinlogMaxSize ("30%" of the volume or a quantity) bound the
	// binary logs. What the peer has not received stays whatever they say, except beyond
	// BinlogMaxSize on a primary that is alone in the ledger: its peer is copied then.
	BinlogRetention time.Duration `json:"binlogRetention"`
	BinlogMaxSize   string        `json:"binlogMaxSize"`
	// BinlogBacklog ("20%" of the volume or a quantity) is the size up to which binary logs stay
	// that are not archived, whatever BinlogRetention and BinlogMaxSize say; empty without an
	// archive. ArchivedCommand says what is archived.
	BinlogBacklog string `json:"binlogBacklog,omitempty"`

	// QuarantineTime is how long everything in the quarantine stays, and QuarantineSize ("20%" of
	// the volume or a quantity) what it may take beyond that time. Where they are absent,
	// DefaultQuarantineTime and DefaultQuarantineSize count.
	QuarantineTime time.Duration `json:"quarantineTime,omitempty"`
	QuarantineSize string        `json:"quarantineSize,omitempty"`

	// MaxBandwidth bounds a copy of the primary's data: a quantity of bytes a second ("50Mi");
	// empty for no bound.
	MaxBandwidth string `json:"maxBandwidth,omitempty"`

	// OnRoleChange is how the door answers clients while no member accepts writes, one of the
	// constants OnRoleChange*. An agent of an earlier version goes by RefuseWithReset.
	OnRoleChange string `json:"onRoleChange,omitempty"`
	// HoldTimeout is how long after the begin of a change of roles clients are held, and
	// MaxHeld how many at once.
	HoldTimeout time.Duration `json:"holdTimeout,omitempty"`
	MaxHeld     int           `json:"maxHeld,omitempty"`

	// PassiveMaxLag is the lag up to which the passive serves reads; 0 stands for DefaultPassiveMaxLag.
	PassiveMaxLag time.Duration `json:"passiveMaxLag,omitempty"`
	// WithoutReaders: no Service leads readers to the passive. Where there is a packet rule, it refuses
	// new clients there.
	WithoutReaders bool `json:"withoutReaders,omitempty"`

	// RefuseWithReset makes the door answer with a TCP reset instead of a MySQL error.
	RefuseWithReset bool `json:"refuseWithReset,omitempty"`

	// MaxLockTime is how long a Job that compares may lock a table; the agent ends one that
	// locks it longer. 0 stands for DefaultMaxLockTime.
	MaxLockTime time.Duration `json:"maxLockTime,omitempty"`

	// AppUser and AppSchema are the application's account and its schema.
	AppUser   string `json:"appUser"`
	AppSchema string `json:"appSchema"`
	// AppPasswordOverlap is how long the application's former password stays valid after it
	// was changed; a minute at least, which an agent of an earlier version goes by.
	AppPasswordOverlap time.Duration `json:"appPasswordOverlap,omitempty"`
	// AppWithoutTLS lets the application's account log in without TLS as well.
	AppWithoutTLS bool `json:"appWithoutTLS,omitempty"`

	// MySQL are the user's mysqld settings. A running mysqld takes over what it can, and the rest
	// acts at its next start.
	MySQL map[string]string `json:"mysql,omitempty"`

	// Components are the names of the components that the user wants, and Plugins the libraries
	// of plugins, each in the order in which they are loaded. They act at the next start of mysqld.
	Components []string `json:"components,omitempty"`
	Plugins    []string `json:"plugins,omitempty"`
}

// SettingsSum names mysqld settings of the user: the same settings have the same sum, whatever their order.
func SettingsSum[V ~string](settings map[string]V) string {
	sum := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(sum, "%q=%q\n", k, settings[k])
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// Host is the address of a member, without a port.
func (c Config) Host(m pair.MemberName) string { return string(m) + "." + c.Domain }
