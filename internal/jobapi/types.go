package jobapi

import (
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

// Keys of a Job's ConfigMap. A name that ends in .gz stands in its binary data. The number in a
// name grows when its form changes: a Job and an operator of two versions do not misread each other.
const (
	// KeyProgress is a Progress, written by the Job every few seconds.
	KeyProgress = "progress.2.json"
	// KeyResult is a Result. With it the Job is done.
	KeyResult = "result.2.json"
	// KeyReport is the report for people and programs.
	KeyReport = "report.json"
	// KeyReportCompressed takes the place of KeyReport when that would be too large.
	KeyReportCompressed = "report.json.gz"
	// KeyState is where a Job whose pod was lost goes on.
	KeyState = "state.json.gz"
)

const (
	// EnvConfigMap names the Job's ConfigMap in its environment.
	EnvConfigMap = "DBPAIR_CONFIGMAP"
	// EnvRequest holds a Request. It is part of the Job's pod template, which cannot be
	// changed: a ConfigMap could be, between the operator's writing and the Job's reading.
	EnvRequest = "DBPAIR_REQUEST"
	// EnvDumpHost is the name of the agent that loads a dump, for the Job that brings it.
	EnvDumpHost = "DBPAIR_DUMP_HOST"
	// EnvDumpAgent is the address of that agent.
	EnvDumpAgent = "DBPAIR_DUMP_AGENT"
	// EnvDumpPath is the file with the dump, under DumpDir.
	EnvDumpPath = "DBPAIR_DUMP_PATH"
	// DumpDir is the volume with the dump.
	DumpDir = "/dump"
	// TLSDir holds ca.crt, tls.crt and tls.key in a Job's pod.
	TLSDir = "/etc/dbpair/tls"
	// ExitForGood is the exit code of a Job that would fail again; any other but 0 asks
	// for another pod.
	ExitForGood = 3
)

// Kind is what a Job does.
type Kind string

// The kinds.
const (
	Checksum Kind = "Checksum"
	Repair   Kind = "Repair"
	Backup   Kind = "Backup"
	Expire   Kind = "Expire"
	// RestoreDrill is the name of the operation's type.
	RestoreDrill Kind = "Drill"
)

// Table names a table.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String is the name for people.
func (t Table) String() string { return t.Schema + "." + t.Name }

// Request is what a Job is asked to do. Durations are nanoseconds.
type Request struct {
	Operation string `json:"operation"`
	Kind      Kind   `json:"kind"`

	Pair      string   `json:"pair"`
	Namespace string   `json:"namespace"`
	PairUID   pair.UID `json:"pairUID"`
	// Epoch and Ledger at which the request is good: at others the roles may be others.
	Epoch  pair.Epoch         `json:"epoch"`
	Ledger pair.LedgerVersion `json:"ledger"`
	// Primary and Passive at that epoch; Domain follows their names in their addresses.
	Primary pair.MemberName `json:"primary"`
	Passive pair.MemberName `json:"passive"`
	Domain  string          `json:"domain"`

	// Table is the only one, if given; else Include and Exclude choose.
	Table   *Table   `json:"table,omitempty"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`

	WithValues  bool          `json:"withValues,omitempty"`
	DryRun      bool          `json:"dryRun,omitempty"`
	Parallelism int           `json:"parallelism"`
	MaxLockTime time.Duration `json:"maxLockTime"`
	MaxLag      time.Duration `json:"maxLag"`
	// BusyShare is in percent; zero means the default.
	BusyShare int `json:"busyShare,omitempty"`

	// Backup is set for the kinds Backup and Expire only.
	Backup *BackupRequest `json:"backup,omitempty"`
	// RestoreDrill is set for this kind only.
	RestoreDrill *RestoreDrillRequest `json:"restoreDrill,omitempty"`
}

// Host is the address of a member, without a port.
func (r Request) Host(m pair.MemberName) string { return string(m) + "." + r.Domain }

// Asked is what a result is about.
func (r Request) Asked() Asked {
	a := Asked{
		Operation: r.Operation,
		Kind:      r.Kind,
		DryRun:    r.DryRun,
	}
	if r.Table != nil {
		a.Table = r.Table.String()
	}
	return a
}

// Asked names what a Job was asked to do. The operator believes a result only for what it
// asked for itself.
type Asked struct {
	Operation string `json:"operation"`
	Kind      Kind   `json:"kind"`
	// Table is empty when patterns chose the tables.
	Table  string `json:"table,omitempty"`
	DryRun bool   `json:"dryRun,omitempty"`
}

// String is the sentence for people.
func (a Asked) String() string {
	out := string(a.Kind)
	if a.DryRun {
		out += " without writing"
	}
	if a.Table != "" {
		out += " of " + a.Table
	}
	return out + " for operation " + a.Operation
}

// Progress is how far a Job is, as the operation's status shows it.
type Progress struct {
	// Beat grows with every write, so that a Job that stands still differs from one that
	// is stopped.
	Beat int64 `json:"beat"`
	v1alpha1.OperationProgress
}

// Outcome is how a Job ended.
type Outcome string

// The outcomes.
const (
	// Done: it came to a result, whatever that is.
	Done Outcome = "Done"
	// Refused: it will not do what was asked; Message says why.
	Refused Outcome = "Refused"
	// RolesChanged: the members are not what they were.
	RolesChanged Outcome = "RolesChanged"
	// Failed: it cannot be done; Message says why.
	Failed Outcome = "Failed"
)

// Result is what a Job found. The operation's status shows OperationResult; in it the operator
// sets Report and RowsPerSecond itself.
type Result struct {
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
	Asked   Asked   `json:"asked"`
	v1alpha1.OperationResult
}

// MaxDiffering bounds the lists Differing and Skipped of a Result.
const MaxDiffering = 50
