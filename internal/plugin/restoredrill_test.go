package plugin

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestDrillMakesAnOperationOfAPairWithBackups(t *testing.T) {
	bare := newWorld(t, healthy())
	if _, _, err := bare.call(t, "", "drill", "shop"); err == nil || !strings.Contains(err.Error(), "has no spec.backup") || len(bare.operations(t)) > 0 {
		t.Errorf("a pair without backups: %v", err)
	}
	w := newWorld(t, onVolume())
	if _, _, err := w.call(t, "", "drill", "shop", "--reason", "an audit"); err != nil {
		t.Fatal(err)
	}
	made := w.operations(t)
	if len(made) != 1 || made[0].Spec.Type != v1alpha1.OperationRestoreDrill || made[0].Spec.Reason != "an audit" {
		t.Errorf("made %+v", made)
	}
}

func TestTheEndOfADrillSaysWhatWasProven(t *testing.T) {
	seconds := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Second} }
	proof := v1alpha1.RestoreDrillResult{
		Backup:      "id",
		Proven:      true,
		Size:        3 << 20,
		Tables:      40,
		GTIDs:       "u:1-7",
		RestoreTime: seconds(9),
		CopyTime:    seconds(4),
		CheckTime:   seconds(2),
	}
	replayed := proof
	replayed.Reached = "u:1-9"
	replayed.ReplayTime = seconds(3)
	replayed.Until = &metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for want, d := range map[string]v1alpha1.RestoreDrillResult{
		"": {FailedStep: "Copy"},
		"Backup id, 3.0Mi of data, was restored in 9s: copied in 4s; 40 tables checked in 2s\nGTIDs of the backup: u:1-7\n": proof,
		"Backup id, 3.0Mi of data, was restored in 9s: copied in 4s, the archive replayed in 3s; 40 tables checked in 2s\n" +
			"GTIDs of the backup: u:1-7\nGTIDs after the replay: u:1-9\nComplete up to: 2026-01-02T03:04:05Z\n": replayed,
	} {
		out := &strings.Builder{}
		tellRestoreDrill(out, &d)
		if out.String() != want {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}
