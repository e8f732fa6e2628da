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
		p.Differing[i].Operation = "" // the pair's status names it
	}
	if p.Backup != nil {
		boundBackup(p.Backup)
	}
	if p.Expire != nil {
		boundExpire(p.Expire)
	}
	if p.RestoreDrill != nil {
		boundRestoreDrill(p.RestoreDrill)
	}
}

// rounded is a duration as a status shows it; zero for none.
func rounded(d *metav1.Duration, to time.Duration) *metav1.Duration {
	if d == nil {
		return &metav1.Duration{}
	}
	return &metav1.Duration{Duration: d.Round(to)}
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
	out := p.OperationProgress
	if out.Remaining != nil && out.Remaining.Duration <= 0 {
		out.Remaining = nil
	}
	return &out
}

// resultOf is what the status of an operation of this kind shows of a result. report names the
// ConfigMap of the report.
func resultOf(kind v1alpha1.OperationType, p jobapi.Result, report string) *v1alpha1.OperationResult {
	switch kind {
	case v1alpha1.OperationBackup:
		return &v1alpha1.OperationResult{
			Duration: rounded(p.Duration, time.Millisecond),
			Backup:   p.Backup,
		}
	case v1alpha1.OperationExpire:
		return &v1alpha1.OperationResult{
			Duration: rounded(p.Duration, time.Millisecond),
			Expire:   p.Expire,
		}
	case v1alpha1.OperationRestoreDrill:
		return &v1alpha1.OperationResult{
			Duration:     rounded(p.Duration, time.Millisecond),
			RestoreDrill: p.RestoreDrill,
		}
	default:
	}
	out := p.OperationResult
	out.Duration = rounded(p.Duration, time.Millisecond)
	out.LongestLock = rounded(p.LongestLock, 10*time.Microsecond)
	out.RowsPerSecond = 0
	if p.Duration != nil && p.Duration.Duration > 0 {
		out.RowsPerSecond = int64(max(0, min(float64(p.Rows)/p.Duration.Seconds(), maxRate)))
	}
	out.Report = report
	out.Backup = nil
	out.Expire = nil
	out.RestoreDrill = nil
	return &out
}
