package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TablePattern names tables: "<schema>.<table>", where * stands for any characters and ?
// for one; a pattern without a dot names schemas.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=129
type TablePattern string

// ChecksumSpec says when and how the members' tables are compared. A difference is reported in
// the condition Consistent, an event, a metric and a report; nothing is ever repaired unasked.
type ChecksumSpec struct {
	// schedule of the comparisons in cron form, such as "0 2 * * *" or "@weekly". Without
	// one they happen on demand only: kubectl dbpair checksum.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$') || self.matches('^[^ @=]+( [^ @=]+){4}$')",message="spec.checksum.schedule must have five fields, as in '0 2 * * *' (minute hour day month weekday), or be @hourly, @daily, @weekly, @monthly or @yearly; the time zone goes into spec.checksum.timeZone"
	Schedule string `json:"schedule,omitempty"`

	// timeZone of the schedule, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="spec.checksum.timeZone must be a name such as Etc/UTC or Europe/Berlin: the operator's own zone is nobody's"
	TimeZone string `json:"timeZone,omitempty"`

	// startingDeadline is how late a comparison may begin, for example after an outage of
	// the operator or while the pair was not in order; later it is left out.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="spec.checksum.startingDeadline must be from 1m to 168h"
	StartingDeadline metav1.Duration `json:"startingDeadline,omitempty"`

	// suspend leaves out what is scheduled. A comparison under way goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// include are the tables that are compared; all when empty. MySQL's own schemas are
	// compared as definitions, users and grants only.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Include []TablePattern `json:"include,omitempty"`

	// exclude are tables that are left out, also when include names them.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Exclude []TablePattern `json:"exclude,omitempty"`

	// parallelism is how many chunks are read at once on each member.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Parallelism int32 `json:"parallelism,omitempty"`

	// maxLockTime is how long a table of the primary may be locked for writes while both
	// members are brought to one point. The agent ends a lock that lasts longer.
	// +optional
	// +kubebuilder:default="250ms"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('20ms') && duration(self) <= duration('10s')",message="spec.checksum.maxLockTime must be from 20ms to 10s"
	MaxLockTime metav1.Duration `json:"maxLockTime,omitempty"`

	// maxLag is the lag of the passive from which on the comparison waits.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="spec.checksum.maxLag must be from 100ms to 1h"
	MaxLag metav1.Duration `json:"maxLag,omitempty"`

	// busyShare is the part of one session's time, in percent, that is used for reading on
	// each member while clients run; the rest are pauses. On members with many processors
	// more costs the clients little, and a large pair is compared sooner.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	BusyShare int32 `json:"busyShare,omitempty"`
}

// ChecksumParameters are those of an operation of type Checksum.
type ChecksumParameters struct {
	// table is one table, <schema>.<table>; without it all tables that spec.checksum of
	// the pair names are compared.
	// +optional
	// +kubebuilder:validation:MaxLength=129
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[^.]+[.].+$')",message="spec.checksum.table must be <schema>.<table>, as in app.orders"
	Table string `json:"table,omitempty"`
	// withValues puts the differing rows' values into the report, not only their keys and
	// digests. Anyone who may read the report then reads the data.
	// +optional
	WithValues bool `json:"withValues,omitempty"`
}

// RepairParameters are those of an operation of type Repair.
type RepairParameters struct {
	// table is the table that is repaired, <schema>.<table>.
	// +kubebuilder:validation:MaxLength=129
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^.]+[.].+$')",message="spec.repair.table must be <schema>.<table>, as in app.orders"
	Table string `json:"table"`
	// dryRun compares and says what would be written, and writes nothing.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
}

// OperationProgress is how far a comparison, a repair or a backup is.
type OperationProgress struct {
	// table that is worked on.
	// +optional
	Table string `json:"table,omitempty"`
	// tablesDone of tablesTotal.
	// +optional
	TablesDone int64 `json:"tablesDone,omitempty"`
	// tablesTotal to be done.
	// +optional
	TablesTotal int64 `json:"tablesTotal,omitempty"`
	// rows read on the primary.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// rowsTotal that are estimated.
	// +optional
	RowsTotal int64 `json:"rowsTotal,omitempty"`
	// rowsPerSecond of late.
	// +optional
	RowsPerSecond int64 `json:"rowsPerSecond,omitempty"`
	// remaining is the time that is estimated to be left.
	// +optional
	Remaining *metav1.Duration `json:"remaining,omitempty"`
	// differingRows found so far.
	// +optional
	DifferingRows int64 `json:"differingRows,omitempty"`
	// bytes of a backup that are in the store.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// note says what it does or waits for.
	// +optional
	Note string `json:"note,omitempty"`
	// attempts counts the pods that worked on it.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
}

// OperationResult is what a comparison or a repair found, or the backup that was taken, or what was removed.
type OperationResult struct {
	// tables that were compared.
	// +optional
	Tables int64 `json:"tables,omitempty"`
	// tablesSkipped could not be compared; the report says why.
	// +optional
	TablesSkipped int64 `json:"tablesSkipped,omitempty"`
	// rows that were compared.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// bytes that were compared.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// duration of the work, waiting included.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
	// rowsPerSecond over all.
	// +optional
	RowsPerSecond int64 `json:"rowsPerSecond,omitempty"`
	// longestLock is the longest time that a table of the primary was locked for writes.
	// +optional
	LongestLock *metav1.Duration `json:"longestLock,omitempty"`
	// differingRows are missing, surplus or different on the passive.
	// +optional
	DifferingRows int64 `json:"differingRows,omitempty"`
	// schemaDifferences are definitions, routines, events, users and grants that differ.
	// +optional
	SchemaDifferences int64 `json:"schemaDifferences,omitempty"`
	// repairedRows were written again through replication.
	// +optional
	RepairedRows int64 `json:"repairedRows,omitempty"`
	// differing are the tables with rows that differ, the worst first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Differing []TableDrift `json:"differing,omitempty"`
	// skipped are the first tables that were not compared, "<table>: <reason>".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Skipped []string `json:"skipped,omitempty"`
	// report is the ConfigMap that holds the report; it goes with the operation.
	// +optional
	Report string `json:"report,omitempty"`
	// backup that was taken.
	// +optional
	Backup *BackupResult `json:"backup,omitempty"`
	// expire is what was removed from the store.
	// +optional
	Expire *ExpireResult `json:"expire,omitempty"`
	// restoreDrill is what a restore drill found, also of one that failed.
	// +optional
	RestoreDrill *RestoreDrillResult `json:"restoreDrill,omitempty"`
}

// Drift is what differs, in one number.
func (r *OperationResult) Drift() int64 {
	if r == nil {
		return 0
	}
	return r.DifferingRows + r.SchemaDifferences
}

// ChecksumStatus is what comparisons of the members' tables found.
type ChecksumStatus struct {
	// lastOperation is the newest comparison or repair that ended, with or without a result.
	// +optional
	LastOperation string `json:"lastOperation,omitempty"`
	// lastCompletionTime is when lastOperation ended.
	// +optional
	LastCompletionTime *metav1.MicroTime `json:"lastCompletionTime,omitempty"`
	// lastFailure says why lastOperation has no result; empty when it has one.
	// +optional
	LastFailure string `json:"lastFailure,omitempty"`
	// lastSuccess is the newest comparison of all tables that came to a result.
	// +optional
	LastSuccess string `json:"lastSuccess,omitempty"`
	// lastSuccessTime is when lastSuccess ended.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// duration of lastSuccess.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
	// longestLock of lastSuccess.
	// +optional
	LongestLock *metav1.Duration `json:"longestLock,omitempty"`
	// rows that lastSuccess compared.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// tablesSkipped is how many tables lastSuccess could not compare; its status names them.
	// +optional
	TablesSkipped int64 `json:"tablesSkipped,omitempty"`
	// differing are the tables that were found to differ and were neither found equal nor
	// repaired since.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Differing []TableDrift `json:"differing,omitempty"`
	// differingRows of all tables, as last compared.
	// +optional
	DifferingRows int64 `json:"differingRows,omitempty"`
	// schemaDifferences are definitions, routines, events, users and grants that differed
	// at lastSuccess.
	// +optional
	SchemaDifferences int64 `json:"schemaDifferences,omitempty"`
	// lastScheduleTime is the newest time of the schedule that was acted upon.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
}

// TableDrift is a table whose rows differ.
type TableDrift struct {
	// table, <schema>.<table>.
	// +kubebuilder:validation:MaxLength=200
	Table string `json:"table"`
	// rows that differ.
	Rows int64 `json:"rows"`
	// operation that found it.
	// +optional
	Operation string `json:"operation,omitempty"`
}
