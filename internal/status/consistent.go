package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

// Compared adds to what is known of the members' tables what comparisons and repairs found
// that have ended since. old may be nil and is not modified; the result is nil when there
// never was any.
func Compared(old *v1alpha1.ChecksumStatus, operations []v1alpha1.DatabasePairOperation) *v1alpha1.ChecksumStatus {
	out := old.DeepCopy()
	for _, op := range ended(operations) {
		if out != nil && out.LastCompletionTime != nil && !out.LastCompletionTime.Before(op.Status.CompletionTime) {
			continue
		}
		if out == nil {
			out = &v1alpha1.ChecksumStatus{}
		}
		count(out, op)
	}
	for i := range operations {
		at := ScheduledAt(&operations[i])
		if at.IsZero() || !operations[i].Spec.Type.Compares() {
			continue
		}
		if out == nil {
			out = &v1alpha1.ChecksumStatus{}
		}
		if out.LastScheduleTime == nil || out.LastScheduleTime.Time.Before(at) {
			out.LastScheduleTime = &metav1.Time{Time: at}
		}
	}
	return out
}

// AnnotationScheduledAt is on an operation that the schedule made: the time it is for.
const AnnotationScheduledAt = "dbpair.io/scheduled-at"

// ScheduledAt is that time; zero for an operation of someone else.
func ScheduledAt(op *v1alpha1.DatabasePairOperation) time.Time {
	at, err := time.Parse(time.RFC3339, op.Annotations[AnnotationScheduledAt])
	if err != nil {
		return time.Time{}
	}
	return at
}

// ended are the comparisons and repairs that have ended, in that order.
func ended(operations []v1alpha1.DatabasePairOperation) []*v1alpha1.DatabasePairOperation {
	var out []*v1alpha1.DatabasePairOperation
	for i := range operations {
		op := &operations[i]
		if op.Spec.Type.Compares() && op.Status.Phase.Terminal() && op.Status.CompletionTime != nil {
			out = append(out, op)
		}
	}
	slices.SortStableFunc(out, func(a, b *v1alpha1.DatabasePairOperation) int {
		return cmp.Or(a.Status.CompletionTime.Compare(b.Status.CompletionTime.Time), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// tableOf is the one table that an operation compares; empty for all.
func tableOf(op *v1alpha1.DatabasePairOperation) string {
	switch {
	case op.Spec.Repair != nil:
		return op.Spec.Repair.Table
	case op.Spec.Checksum != nil:
		return op.Spec.Checksum.Table
	}
	return ""
}

// differing are the tables that differ after an operation about one table, or all, the worst
// first: those that it found, and those known before that it did not compare.
func differing(before []v1alpha1.TableDrift, op *v1alpha1.DatabasePairOperation, about string) []v1alpha1.TableDrift {
	result := op.Status.Result
	found := make([]v1alpha1.TableDrift, 0, len(result.Differing))
	for _, one := range result.Differing {
		one.Operation = op.Name
		found = append(found, one)
	}
	for _, one := range before {
		again := slices.ContainsFunc(found, func(f v1alpha1.TableDrift) bool { return f.Table == one.Table })
		another := about != "" && about != one.Table
		if !again && (another || leftOut(result, one.Table)) {
			found = append(found, one)
		}
	}
	slices.SortStableFunc(found, func(a, b v1alpha1.TableDrift) int { return cmp.Compare(b.Rows, a.Rows) })
	return found
}

// leftOut: the table was not compared, or may not have been, since not every skipped table is named.
func leftOut(result *v1alpha1.OperationResult, table string) bool {
	return result.TablesSkipped > int64(len(result.Skipped)) ||
		slices.ContainsFunc(result.Skipped, func(why string) bool { return strings.HasPrefix(why, table+": ") })
}

func count(s *v1alpha1.ChecksumStatus, op *v1alpha1.DatabasePairOperation) {
	s.LastOperation = op.Name
	s.LastCompletionTime = op.Status.CompletionTime.DeepCopy()
	s.LastFailure = ""
	result := op.Status.Result
	if op.Status.Phase != v1alpha1.OperationSucceeded {
		s.LastFailure = op.Status.Message
	}
	if result == nil {
		return
	}
	about := tableOf(op)
	found := differing(s.Differing, op, about)
	s.Differing = nil
	s.DifferingRows = 0
	for _, one := range found {
		s.DifferingRows += one.Rows
	}
	if len(found) > 0 {
		s.Differing = found[:min(len(found), maxDiffering)]
	}
	if about != "" || op.Status.Phase != v1alpha1.OperationSucceeded {
		return
	}
	at := metav1.NewTime(op.Status.CompletionTime.Truncate(time.Second))
	s.LastSuccess = op.Name
	s.LastSuccessTime = &at
	s.Duration = result.Duration
	s.LongestLock = result.LongestLock
	s.Rows = result.Rows
	s.TablesSkipped = result.TablesSkipped
	s.SchemaDifferences = result.SchemaDifferences
	s.DifferingRows = max(s.DifferingRows, result.DifferingRows)
}

// maxDiffering is the API's limit.
const maxDiffering = 50

// differs reports whether the last comparisons left a difference.
func differs(s *v1alpha1.ChecksumStatus) bool {
	return s != nil && (len(s.Differing) > 0 || s.SchemaDifferences > 0)
}

func consistent(o failover.Observation, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionConsistent
	s := done.Checksum
	ask := fmt.Sprintf("Command: kubectl dbpair checksum %s -n %s", o.Settings.Name, o.Settings.Namespace)
	trouble := ""
	if s != nil && s.LastFailure != "" {
		trouble = fmt.Sprintf("; %s came to no result: %s", s.LastOperation, s.LastFailure)
	}
	if done.ScheduleProblem != "" {
		trouble += "; spec.checksum: " + done.ScheduleProblem
	}
	switch {
	case differs(s):
		return condition(kind, metav1.ConditionFalse, failover.RuleDrift, drift(o, s)+trouble)
	case s == nil || s.LastSuccessTime == nil:
		return condition(kind, metav1.ConditionUnknown, failover.RuleNeverCompared, "the members' tables have not been compared yet"+trouble+
			". "+ask)
	}
	age := o.Now.Sub(s.LastSuccessTime.Time)
	fact := fmt.Sprintf("%d rows were equal on both members %s (%s)", s.Rows, ago(age), s.LastSuccess)
	if s.TablesSkipped > 0 {
		fact += fmt.Sprintf("; %d tables were not compared, its status says why", s.TablesSkipped)
	}
	if done.StaleAfter > 0 && age > done.StaleAfter {
		return condition(kind, metav1.ConditionUnknown, failover.RuleComparisonStale, fact+", which is too long ago"+trouble+". "+ask)
	}
	return condition(kind, metav1.ConditionTrue, failover.RuleMembersEqual, fact+trouble)
}

// drift says what differs and what can be done.
func drift(o failover.Observation, s *v1alpha1.ChecksumStatus) string {
	const shown = 5
	var parts []string
	for i, one := range s.Differing {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more tables", len(s.Differing)-shown))
			break
		}
		parts = append(parts, fmt.Sprintf("%s: %d rows (%s)", one.Table, one.Rows, one.Operation))
	}
	if s.SchemaDifferences > 0 {
		parts = append(parts, fmt.Sprintf("%d definitions or accounts (%s)", s.SchemaDifferences, s.LastSuccess))
	}
	out := "the members differ: " + strings.Join(parts, ", ")
	if s.LastCompletionTime != nil {
		out += "; last compared " + ago(o.Now.Sub(s.LastCompletionTime.Time))
	}
	if len(s.Differing) > 0 {
		out += fmt.Sprintf(". Command: kubectl dbpair repair %s --table %s --dry-run -n %s",
			o.Settings.Name, s.Differing[0].Table, o.Settings.Namespace)
	}
	return out
}

// ago is an age in words, coarse enough that the status is not written for it all the
// time.
func ago(age time.Duration) string {
	switch {
	case age < time.Hour:
		return "less than an hour ago"
	case age < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(age/time.Hour))
	}
	return fmt.Sprintf("%d days ago", int(age/(24*time.Hour)))
}

// readyToFail is the condition FailoverReady; a difference is no obstacle, but anyone who
// relies on the passive has to know.
func readyToFail(o failover.Observation, p failover.Plan, done Reconciled) metav1.Condition {
	fact := cmp.Or(p.FailoverReady.Fact, p.Fact, "nothing was decided yet")
	rule := cmp.Or(p.FailoverReady.Rule, p.Rule)
	if o.Authority.Reading == failover.Unread {
		fact = unread(o)
	}
	if differs(done.Checksum) {
		fact += fmt.Sprintf("; the members differ in %d rows and %d definitions (see Consistent)",
			done.Checksum.DifferingRows, done.Checksum.SchemaDifferences)
	}
	return condition(v1alpha1.ConditionFailoverReady, known(p.FailoverReady.Ready), rule, fact)
}
