package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RestoreDrillTarget is up to where a restore drill leads.
// +kubebuilder:validation:Enum=Latest
type RestoreDrillTarget string

// RestoreDrillLatest is the newest backup, and all that was archived after it.
const RestoreDrillLatest RestoreDrillTarget = "Latest"

// RestoreDrillSpec says when the newest backup is restored into a mysqld that nobody uses, in order to know that it can
// be. Nothing of the pair is touched by it.
type RestoreDrillSpec struct {
	// schedule of the drills in cron form, such as "0 5 * * 0" or "@weekly". Without one they happen on demand only:
	// kubectl dbpair drill.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$') || self.matches('^[^ @=]+( [^ @=]+){4}$')",message="spec.backup.drill.schedule must have five fields, as in '0 5 * * 0' (minute hour day month weekday), or be @hourly, @daily, @weekly, @monthly or @yearly; the time zone goes into spec.backup.drill.timeZone"
	Schedule string `json:"schedule,omitempty"`

	// timeZone of the schedule, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="spec.backup.drill.timeZone must be a name such as Etc/UTC or Europe/Berlin: the operator's own zone is nobody's"
	TimeZone string `json:"timeZone,omitempty"`

	// startingDeadline is how late a drill may begin, for example after an outage of the operator or behind a backup;
	// later it is left out.
	// +optional
	// +kubebuilder:default="6h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="spec.backup.drill.startingDeadline must be from 1m to 168h"
	StartingDeadline metav1.Duration `json:"startingDeadline,omitempty"`

	// suspend leaves out what is scheduled. A drill under way goes on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// storageClassName is the class of the volume that the data is restored on. It has the size of spec.storage.size, with that
	// of spec.storage.binlog if there is one, and goes with the pod. Without this field its class is that of the members'
	// volumes; with "" it is an emptyDir on the node.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// target is Latest: the newest backup, and with spec.backup.binlog.enabled all that was archived after it.
	// +optional
	// +kubebuilder:default=Latest
	Target RestoreDrillTarget `json:"target,omitempty"`
}

// RestoreDrillProblem is why a restore drill proved nothing, neither that the backup can be restored nor that it cannot.
type RestoreDrillProblem string

// The problems.
const (
	// RestoreDrillNoBackup: there is no complete backup.
	RestoreDrillNoBackup RestoreDrillProblem = "NoBackup"
	// RestoreDrillNoRoom: the data is larger than the volume of the drill.
	RestoreDrillNoRoom RestoreDrillProblem = "NoRoom"
)

// RestoreDrillResult is what a restore drill found. It proves what it names, and no more: that mysqld copied the backup and
// started on it, that its GTIDs are those of the backup, that CHECK TABLE finds every table in order, and, with reached,
// that every transaction of the archive could be applied. Rows are not compared with those of the pair.
type RestoreDrillResult struct {
	// backup that was restored.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Backup string `json:"backup,omitempty"`
	// finished is when that backup was complete.
	// +optional
	Finished *metav1.Time `json:"finished,omitempty"`
	// proven: every step came to its end.
	// +optional
	Proven bool `json:"proven,omitempty"`
	// failedStep is the one that did not: Choose, Archive, Prepare, Copy, Open, Compare, Check, Replay or Record.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	FailedStep string `json:"failedStep,omitempty"`
	// problem says that nothing is known of the backup: NoBackup or NoRoom.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Problem RestoreDrillProblem `json:"problem,omitempty"`
	// gtids of the restored backup. A set that is too long is cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	GTIDs string `json:"gtids,omitempty"`
	// reached are the GTIDs after the replay of the archive; empty when nothing was replayed. A set that is too long is
	// cut off and ends in "…".
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Reached string `json:"reached,omitempty"`
	// until is the moment up to which the archive was replayed.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// tables that mysqld checked, those of the system included.
	// +optional
	Tables int64 `json:"tables,omitempty"`
	// size of the backup's data, in bytes.
	// +optional
	Size int64 `json:"size,omitempty"`
	// restoreTime is what the restore took: every step but the check of the tables.
	// +optional
	RestoreTime *metav1.Duration `json:"restoreTime,omitempty"`
	// copyTime is the part of it in which mysqld copied the backup.
	// +optional
	CopyTime *metav1.Duration `json:"copyTime,omitempty"`
	// replayTime is the part of it in which the archive was replayed.
	// +optional
	ReplayTime *metav1.Duration `json:"replayTime,omitempty"`
	// checkTime is what the check of the tables took.
	// +optional
	CheckTime *metav1.Duration `json:"checkTime,omitempty"`
}

// RestoreDrillStatus is what became of the restore drills of a pair.
type RestoreDrillStatus struct {
	// lastOperation is the newest drill that ended. Those that were abandoned, for example since they made way for a backup,
	// do not count.
	// +optional
	LastOperation string `json:"lastOperation,omitempty"`
	// lastCompletionTime is when lastOperation ended.
	// +optional
	LastCompletionTime *metav1.MicroTime `json:"lastCompletionTime,omitempty"`
	// lastFailure says why lastOperation proved nothing; empty when it did.
	// +optional
	LastFailure string `json:"lastFailure,omitempty"`
	// lastProblem says that lastFailure is not one of the backup: NoBackup or NoRoom.
	// +optional
	LastProblem RestoreDrillProblem `json:"lastProblem,omitempty"`
	// lastSuccess is the newest drill that proved a backup.
	// +optional
	LastSuccess string `json:"lastSuccess,omitempty"`
	// lastSuccessTime is when lastSuccess ended.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// last is what lastSuccess found.
	// +optional
	Last *RestoreDrillResult `json:"last,omitempty"`
	// lastScheduleTime is the newest time of the schedule that was acted upon.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
}
