package judge

import (
	"math"
	"testing"
	"time"
)

func TestPausesAfterFailedCopiesGrow(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1:             3 * time.Second,
		2:             3 * time.Second,
		3:             10 * time.Second,
		4:             20 * time.Second,
		7:             160 * time.Second,
		8:             5 * time.Minute,
		math.MaxInt32: 5 * time.Minute,
	} {
		if got := SeedPause(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}
