package status

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// Archive is what is known of a pair's archive of binary logs.
type Archive struct {
	// Wanted: the pair has spec.backup.binlog.enabled.
	Wanted bool
	// Report is what the archiver said last; nil before the first report.
	Report *jobapi.ArchiveReport
	// Limit is how far the archive may be behind.
	Limit time.Duration
	// Reason and Fact say why the archiver does not run; empty when it does, or when nobody asked.
	Reason string
	Fact   string

	// gapBackup is the backup that was begun for the gap of the report; nil if its record is not there.
	gapBackup *v1alpha1.DatabasePairOperation
}

// Behind reports whether the archive lacks what is older than the limit, or may lack it: nothing
// that the archiver says of itself counts for more than a moment at which everything was stored.
func (a Archive) Behind(now time.Time) bool { return a.Lag(now) > a.Limit }

// never is the lag of an archive that was not seen to be complete.
const never = 100 * 365 * 24 * time.Hour

// Lag is the time since the archive had everything.
func (a Archive) Lag(now time.Time) time.Duration {
	if a.Report == nil || a.Report.Current.IsZero() {
		return never
	}
	return max(0, now.Sub(a.Report.Current))
}

// Known reports whether Lag is a figure.
func (a Archive) Known() bool { return a.Report != nil && !a.Report.Current.IsZero() }

// gap is the gap that no backup leads across yet; nil for none. A backup that began after it was
// found has what is missing.
func (a Archive) gap(pair string, backups Backups) *jobapi.ArchiveGap {
	if a.Report == nil || a.Report.Gap == nil {
		return nil
	}
	found := a.Report.Gap.Time
	if leadsOn(backups, found, GapBackup(pair, found)) {
		return nil
	}
	return a.Report.Gap
}

// archiving is the condition of a pair with spec.backup.binlog.enabled.
func archiving(o failover.Observation, done Reconciled) metav1.Condition {
	const kind = v1alpha1.ConditionArchiving
	a := done.Archive
	until := a.until()
	switch gap := a.gap(o.Settings.Name, done.Backup); {
	case gap != nil:
		fact := fmt.Sprintf("the archive has a gap, found at %s: %s was removed from the members before it was archived, and no "+
			"restore leads across it; a new backup leads on%s",
			moment(gap.Time), clipSet(gap.GTIDs, shortSet), a.remedy(o.Settings.Name, o.Settings.Namespace))
		return condition(kind, metav1.ConditionFalse, ReasonArchiveGap, fact+until)
	case o.Hibernates() && a.Behind(o.Now):
		return condition(kind, metav1.ConditionUnknown, failover.RuleHibernated, "the pair hibernates, and nothing is read"+until)
	case a.Behind(o.Now) && a.Reason != "":
		return condition(kind, metav1.ConditionFalse, a.Reason, a.Fact+until)
	case a.Report == nil:
		return condition(kind, metav1.ConditionUnknown, ReasonArchiveStarting, "the archiver has not reported yet"+because(a.Fact))
	case a.Behind(o.Now) && a.Report.Reason != "":
		return condition(kind, metav1.ConditionFalse, a.Report.Reason.Known(), a.Report.Message+until)
	case a.Behind(o.Now):
		fact := "the archive has never had everything so far"
		if a.Known() {
			fact = fmt.Sprintf("the archive last had everything %s", ago(a.Lag(o.Now)))
		}
		return condition(kind, metav1.ConditionFalse, ReasonArchiveBehind, fact+a.lastWord(o.Now)+until)
	}
	trouble := ""
	if a.Report.Message != "" {
		trouble = "; now: " + a.Report.Message
	}
	return condition(kind, metav1.ConditionTrue, ReasonArchiveCurrent,
		fmt.Sprintf("the archive had everything at %s%s%s", moment(a.Report.Current), until, trouble))
}

// lastWord is when an archiver reported last, if that is long ago.
func (a Archive) lastWord(now time.Time) string {
	const silent = 3 * jobapi.ArchiveReportEvery
	if age := now.Sub(a.Report.Written); age > silent {
		return fmt.Sprintf("; the archiver last reported %s", ago(age))
	}
	return ""
}

// until is up to where a restore leads, as the end of a message.
func (a Archive) until() string {
	if a.Report == nil || a.Report.Until.IsZero() {
		return ""
	}
	return fmt.Sprintf("; a restore can lead to %s, GTIDs %s", moment(a.Report.Until), clipSet(a.Report.GTIDs, shortSet))
}

func moment(at time.Time) string { return at.UTC().Format(time.RFC3339) }

const (
	// shortSet bounds a set of GTIDs in a message, longSet one in a field; in bytes.
	shortSet = 256
	longSet  = 2048
)

// clipSet bounds a set of GTIDs.
func clipSet(set string, limit int) string {
	if len(set) <= limit {
		return set
	}
	return strings.ToValidUTF8(set[:limit-len("…")], "") + "…"
}

// status is what the pair's status has of an archive. What the archiver does not say stays as it
// was in old, which is not modified.
func (a Archive) status(old *v1alpha1.ArchiveStatus) *v1alpha1.ArchiveStatus {
	if !a.Wanted {
		return nil
	}
	out := old.DeepCopy()
	if a.Report == nil {
		return out
	}
	if out == nil {
		out = &v1alpha1.ArchiveStatus{}
	}
	if at := a.Report.Until; !at.IsZero() {
		out.Until = ptr.To(metav1.NewTime(at.UTC().Truncate(time.Second)))
	}
	if at := a.Report.Current; !at.IsZero() {
		out.Current = ptr.To(metav1.NewTime(at.UTC().Truncate(time.Second)))
	}
	out.GTIDs = clipSet(a.Report.GTIDs, longSet)
	out.Segments = a.Report.Segments
	out.Member = a.Report.Member
	out.Gap = nil
	if gap := a.Report.Gap; gap != nil {
		out.Gap = &v1alpha1.ArchiveGap{
			GTIDs: clipSet(gap.GTIDs, longSet),
			Found: metav1.NewTime(gap.Time.UTC().Truncate(time.Second)),
		}
	}
	if a.gapBackup != nil {
		out.GapBackup = a.gapBackup.Name
	}
	return out
}
