package authority

import (
	"testing"
	"time"
)

// TestTheMarginCoversClocksAtTheirWorst: the primary's clock is as slow as it may be, that of
// the one who waits as fast; mysqld ends KillTime after it was to be killed.
func TestTheMarginCoversClocksAtTheirWorst(t *testing.T) {
	const slow, fast = 1 - DriftPercent/100.0, 1 + DriftPercent/100.0
	for _, lease := range []time.Duration{2 * time.Second, 6 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute} {
		margin := LeastMargin(lease)
		killedAt := Config{T: lease}.withDefaults()
		ended := time.Duration(float64(lease-killedAt.KillLead)/slow) + KillTime
		waited := time.Duration(float64(lease+margin) / fast)
		if waited < ended {
			t.Errorf("T %s and margin %s: waited %s, mysqld ended only after %s", lease, margin, waited, ended)
		}
		if half := time.Duration(float64(lease+margin/2) / fast); half >= ended {
			t.Errorf("T %s: half of margin %s would do", lease, margin)
		}
	}
}

func TestTheDefaultMarginIsEnoughForTheDefaultT(t *testing.T) {
	if got := LeastMargin(6 * time.Second); got != time.Second {
		t.Errorf("least margin of 6s is %s, the CRD's default is 1s", got)
	}
}
