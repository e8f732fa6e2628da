package controllers

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
)

const (
	// maxAnswerText bounds each text of a Job that is copied into a status. A Job is less
	// trusted than the operator, and a status that is too large could not be written: the
	// operation would never end.
	maxAnswerText = 1024
	// maxRate is more rows per second than any mysqld reads, and fits into an int64.
	maxRate = 1e15
)

// cut shortens a text to maxAnswerText bytes of valid UTF-8.
func cut(text string) string {
	if len(text) > maxAnswerText {
		text = text[:maxAnswerText]
	}
	return strings.ToValidUTF8(text, "")
}

// bound shortens what a result says to what a status can hold.
func bound(p *jobapi.Result) {
	p.Message = cut(p.Message)
	p.Asked.Operation = cut(p.Asked.Operation)
	p.Asked.Kind = jobapi.Kind(cut(string(p.Asked.Kind)))
	p.Asked.Table = cut(p.Asked.Table)
	p.Skipped = p.Skipped[:min(len(p.Skipped), jobapi.MaxDiffering)]
	for i := range p.Skipped {
		p.Skipped[i] = cut(p.Skipped[i])
	}
	p.Differing = p.Differing[:min(len(p.Differing), jobapi.MaxDiffering)]
	for i := range p.Differing {
		p.Differing[i].Table = cut(p.Differing[i].Table)
	}
}

// answers are what the Job has written so far.
func answers(m *corev1.ConfigMap) (*jobapi.Progress, *jobapi.Result, error) {
	var progress *jobapi.Progress
	var result *jobapi.Result
	for key, into := range map[string]any{jobapi.KeyProgress: &progress, jobapi.KeyResult: &result} {
		if text, ok := m.Data[key]; ok {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return nil, nil, fmt.Errorf("read %s of ConfigMap %s: %w", key, m.Name, err)
			}
		}
	}
	if progress != nil {
		progress.Table = cut(progress.Table)
		progress.Note = cut(progress.Note)
	}
	if result != nil {
		bound(result)
	}
	return progress, result, nil
}

func progressOf(p jobapi.Progress) *v1alpha1.OperationProgress {
	out := &v1alpha1.OperationProgress{
		Table:         p.Table,
		TablesDone:    p.TablesDone,
		TablesTotal:   p.TablesTotal,
		Rows:          p.Rows,
		RowsTotal:     p.RowsTotal,
		RowsPerSecond: p.RowsPerSecond,
		DifferingRows: p.DifferingRows,
		Bytes:         p.Bytes,
		Note:          p.Note,
		Attempts:      p.Attempt,
	}
	if p.Remaining > 0 {
		out.Remaining = &metav1.Duration{Duration: p.Remaining}
	}
	return out
}

func resultOf(kind v1alpha1.OperationType, p jobapi.Result, report string) *v1alpha1.OperationResult {
	if kind == v1alpha1.OperationBackup {
		return &v1alpha1.OperationResult{
			Duration: &metav1.Duration{Duration: p.Took.Round(time.Millisecond)},
			Backup:   backupOf(p.Backup),
		}
	}
	out := &v1alpha1.OperationResult{
		Tables:            p.Tables,
		TablesSkipped:     p.TablesSkipped,
		Rows:              p.Rows,
		Bytes:             p.Bytes,
		Duration:          &metav1.Duration{Duration: p.Took.Round(time.Millisecond)},
		LongestLock:       &metav1.Duration{Duration: p.LongestLock.Round(10 * time.Microsecond)},
		DifferingRows:     p.DifferingRows,
		SchemaDifferences: p.SchemaDifferences,
		RepairedRows:      p.RepairedRows,
		Report:            report,
		Skipped:           p.Skipped,
	}
	if seconds := p.Took.Seconds(); seconds > 0 {
		out.RowsPerSecond = int64(max(0, min(float64(p.Rows)/seconds, maxRate)))
	}
	for _, one := range p.Differing {
		out.Differing = append(out.Differing, v1alpha1.TableDrift{Table: one.Table, Rows: one.Rows})
	}
	return out
}
