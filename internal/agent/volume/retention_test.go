package volume

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestARetentionHasDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		config agentapi.Config
		want   Retention
	}{
		"an operator of an earlier version says nothing": {
			want: Retention{Time: 30 * 24 * time.Hour, Size: "20%"},
		},
		"what is said counts": {
			config: agentapi.Config{QuarantineTime: 48 * time.Hour, QuarantineSize: "0"},
			want:   Retention{Time: 48 * time.Hour, Size: "0"},
		},
	} {
		if got := RetentionOf(c.config); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestASizeIsAQuantityOrAShareOfTheVolume(t *testing.T) {
	v := Open(t.TempDir(), "")
	space, err := v.Space()
	if err != nil || space.Total <= 0 || space.Free > space.Total {
		t.Fatalf("space %v: %v", space, err)
	}
	for size, want := range map[string]int64{
		"10Gi": 10 << 30,
		"0":    0,
		"0%":   0,
		"25%":  space.Total / 100 * 25,
	} {
		if got, err := v.Share(size); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", size, got, err, want)
		}
	}
	for _, size := range []string{"", "%", "-1%", "101%", "ten", "10 %"} {
		if got, err := v.Share(size); err == nil || !strings.Contains(err.Error(), "size") {
			t.Errorf("%q: %d, %v", size, got, err)
		}
	}
}
