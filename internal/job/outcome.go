package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/repair"
)

// pace measures how fast rows are read, and tells how long the rest takes.
type pace struct {
	began time.Time
	rows  int64 // that were there at the begin
}

func (p pace) of(now time.Time, done, total int64) (perSecond int64, remaining time.Duration) {
	took := now.Sub(p.began).Seconds()
	if took < 1 || done <= p.rows {
		return 0, 0
	}
	rate := float64(done-p.rows) / took
	if left := total - done; left > 0 {
		remaining = time.Duration(float64(left) / rate * float64(time.Second)).Round(time.Second)
	}
	return int64(rate), remaining
}

// progressOf is what people are shown of a comparison's state.
func progressOf(s checksum.State) jobapi.Progress {
	totals := s.Report.Totals()
	out := jobapi.Progress{OperationProgress: v1alpha1.OperationProgress{
		TablesDone:    int64(totals.Tables),
		TablesTotal:   int64(s.TablesTotal),
		Rows:          s.RowsDone(),
		RowsTotal:     s.RowsTotal,
		DifferingRows: totals.DifferingRows,
		Note:          s.Waiting,
	}}
	var names []string
	for _, one := range s.Current {
		names = append(names, one.Partial.Table.String())
		out.DifferingRows += one.Partial.DifferingRows()
	}
	out.Table = strings.Join(names, ", ")
	return out
}

// checksumResult sums a comparison up.
func checksumResult(r checksum.Report) jobapi.Result {
	t := r.Totals()
	out := jobapi.Result{
		Outcome: jobapi.Done,
		OperationResult: v1alpha1.OperationResult{
			Tables:            int64(t.Tables - t.Skipped),
			TablesSkipped:     int64(t.Skipped),
			Rows:              t.Rows,
			Bytes:             t.Bytes,
			Duration:          &metav1.Duration{Duration: r.Finished.Sub(r.Started)},
			LongestLock:       &metav1.Duration{Duration: t.LongestLock},
			DifferingRows:     t.DifferingRows,
			SchemaDifferences: int64(r.SchemaDriftCount),
			Differing:         differing(r.Tables),
			Skipped:           skipped(r.Tables),
		},
	}
	out.Message = fmt.Sprintf("%d rows of %d tables are equal on both members", t.Rows, t.Tables-t.Skipped)
	if t.DifferingRows > 0 || r.SchemaDriftCount > 0 {
		out.Message = fmt.Sprintf("%d rows of %d tables and %d definitions differ", t.DifferingRows, t.Different, r.SchemaDriftCount)
	}
	if t.Skipped > 0 {
		out.Message += fmt.Sprintf("; %d tables were skipped: %s",
			t.Skipped, clip(strings.Join(out.Skipped[:min(len(out.Skipped), 5)], ", "), 1000))
	}
	return out
}

func differing(tables []checksum.TableReport) []v1alpha1.TableDrift {
	var out []v1alpha1.TableDrift
	for _, one := range tables {
		if n := one.DifferingRows(); n > 0 {
			out = append(out, v1alpha1.TableDrift{Table: clip(one.Table.String(), 200), Rows: n})
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.TableDrift) int { return cmp.Compare(b.Rows, a.Rows) })
	return out[:min(len(out), jobapi.MaxDiffering)]
}

// skipped names the first tables that were left out, with the reasons.
func skipped(tables []checksum.TableReport) []string {
	var out []string
	for _, one := range tables {
		if one.State == checksum.Skipped && len(out) < jobapi.MaxDiffering {
			out = append(out, clip(one.Table.String(), 200)+": "+clip(one.Reason, 200))
		}
	}
	return out
}

func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "..."
}

// repairProgress is what people are shown of a repair.
func repairProgress(p repair.Progress) jobapi.Progress {
	out := jobapi.Progress{OperationProgress: v1alpha1.OperationProgress{TablesTotal: 1}}
	if p.Checksum != nil {
		out = progressOf(*p.Checksum)
	}
	out.Note = strings.ToLower(string(p.Step))
	if p.Step == repair.Repairing || p.Step == repair.Saving {
		out.Rows = p.Repaired
		out.RowsTotal = p.Rows
	}
	return out
}

// repairResult sums a repair up.
func repairResult(r repair.Report, took time.Duration) jobapi.Result {
	found := r.Missing + r.Extra + r.Changed
	out := jobapi.Result{
		Outcome: jobapi.Done,
		OperationResult: v1alpha1.OperationResult{
			Tables:       1,
			Duration:     &metav1.Duration{Duration: took},
			RepairedRows: r.Written,
		},
	}
	reasons := strings.Join(r.Reasons, "; ")
	longestLock := time.Duration(0)
	for _, one := range []*checksum.TableReport{r.Before, r.After} {
		if one != nil {
			out.Rows = one.Rows
			out.Bytes = one.Bytes
			longestLock = max(longestLock, one.LongestLock)
		}
	}
	out.LongestLock = &metav1.Duration{Duration: longestLock}
	rows := fmt.Sprintf("%d missing, %d surplus, %d different", r.Missing, r.Extra, r.Changed)
	switch r.Result {
	case repair.Repaired:
		out.Message = fmt.Sprintf("%s: %s rows were repaired and the table is equal now; what was there before is in the passive's quarantine",
			r.Table, rows)
	case repair.NothingToDo:
		out.Message = fmt.Sprintf("%s is equal on both members: nothing to do", r.Table)
	case repair.Planned:
		out.DifferingRows = found
		out.Message = fmt.Sprintf("%s: a repair would write %d rows: %s", r.Table, found, rows)
	case repair.Refused:
		out.Outcome = jobapi.Refused
		out.DifferingRows = found
		out.Message = fmt.Sprintf("%s is not repaired: %s", r.Table, reasons)
	case repair.StillDifferent:
		out.Outcome = jobapi.Failed
		out.DifferingRows = found
		if r.After != nil {
			out.DifferingRows = r.After.DifferingRows()
		}
		out.Message = fmt.Sprintf("%s still differs in %d rows: %s", r.Table, out.DifferingRows, reasons)
	}
	tables := slices.Clone(r.Others)
	if out.DifferingRows > 0 {
		out.Differing = []v1alpha1.TableDrift{{Table: clip(r.Table.String(), 200), Rows: out.DifferingRows}}
	}
	out.Differing = append(out.Differing, differing(tables)...)
	return out
}
