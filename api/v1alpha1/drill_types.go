package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DrillSpec says when the roles are switched over so that the procedure is known to work before
// it is needed.
type DrillSpec struct {
	// schedule of the drills in cron form, such as "0 3 * * 0" or "@monthly".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$') || self.matches('^[^ @=]+( [^ @=]+){4}$')",message="spec.switchover.drill.schedule must have five fields, as in '0 3 * * 0' (minute hour day month weekday), or be @hourly, @daily, @weekly, @monthly or @yearly; the time zone goes into spec.switchover.drill.timeZone"
	Schedule string `json:"schedule"`

	// timeZone of the schedule, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="spec.switchover.drill.timeZone must be a name such as Etc/UTC or Europe/Berlin: the operator's own zone is nobody's"
	TimeZone string `json:"timeZone,omitempty"`

	// startingDeadline is how late a drill may begin, for example after an outage of the
	// operator; later it is left out.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="spec.switchover.drill.startingDeadline must be from 1m to 168h"
	StartingDeadline metav1.Duration `json:"startingDeadline,omitempty"`

	// suspend leaves out what is scheduled. A drill under way goes on, and what was left out is
	// not made up for later.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// DrillStatus is what became of the drills of a pair.
type DrillStatus struct {
	// schedule that is in force: that of the spec with its time zone.
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// since when it has been in force. A time before that is not made up for.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// problem says why the schedule of the spec is not in force, and what to do.
	// +optional
	Problem string `json:"problem,omitempty"`
	// lastScheduleTime is the newest time of the schedule for which a drill was begun or skipped.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// operation is the last drill that ended.
	// +optional
	Operation string `json:"operation,omitempty"`
	// time at which it ended.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// result is the phase in which it ended.
	// +optional
	Result OperationPhase `json:"result,omitempty"`
	// writeGap is the time for which no member accepted writes in it, as the members measured it.
	// +optional
	WriteGap *metav1.Duration `json:"writeGap,omitempty"`
	// skippedTime is the newest time of the schedule for which no drill was begun.
	// +optional
	SkippedTime *metav1.Time `json:"skippedTime,omitempty"`
	// skippedReason says why.
	// +optional
	SkippedReason string `json:"skippedReason,omitempty"`
}
