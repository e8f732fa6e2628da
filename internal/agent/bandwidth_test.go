package agent

import (
	"strings"
	"testing"
)

func TestABandwidthIsAQuantityOfBytesASecond(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1Mi": 1 << 20, "50Mi": 50 << 20, "1M": 1_000_000} {
		if got, err := bandwidth(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"fast", "0", "-1Mi", "10%"} {
		if _, err := bandwidth(text); err == nil || !strings.Contains(err.Error(), "spec.rejoin.maxBandwidth") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
