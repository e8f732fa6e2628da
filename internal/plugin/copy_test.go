package plugin

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestTheStatusSaysHowFarACopyIs(t *testing.T) {
	for want, c := range map[string]v1alpha1.MemberCopy{
		"is being copied: initialize":                 {Stage: "initialize"},
		"is being copied: file copy, 512 of 5120 MiB": {Stage: "FILE COPY", Bytes: 512 << 20, EstimatedBytes: 5 << 30},
		"is being copied: file copy, 512 of 5120 MiB, 48.0 MiB/s, 1m36s left": {
			Stage:          "FILE COPY",
			Bytes:          512 << 20,
			EstimatedBytes: 5 << 30,
			BytesPerSecond: 48 << 20,
			Remaining:      &metav1.Duration{Duration: 96 * time.Second},
		},
	} {
		if got := describeCopy(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
