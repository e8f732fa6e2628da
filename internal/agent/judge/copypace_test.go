package judge_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestThePaceOfACopy(t *testing.T) {
	var p judge.CopyPace
	for _, look := range []struct {
		after     time.Duration
		stage     string
		bytes     int64
		rate      int64
		remaining time.Duration
	}{
		{after: 0, stage: "FILE COPY", bytes: 0},
		{after: time.Second, stage: "FILE COPY", bytes: 0}, // nothing yet
		{after: 4 * time.Second, stage: "FILE COPY", bytes: 400, rate: 100, remaining: 6 * time.Second},
		{after: 20 * time.Second, stage: "FILE COPY", bytes: 560, rate: 10, remaining: 44 * time.Second}, // the last seconds count
		{after: 21 * time.Second, stage: "FILE COPY", bytes: 1000, rate: 35},                             // nothing is left
		{after: 22 * time.Second, stage: "PAGE COPY", bytes: 500},                                        // a stage of its own
		{after: 23 * time.Second, stage: "PAGE COPY", bytes: 600, rate: 100, remaining: 4 * time.Second},
	} {
		rate, remaining := p.Saw(authority.Instant(time.Hour+look.after), mysqlops.CloneProgress{
			Stage: look.stage,
			Bytes: look.bytes,
			Total: 1000,
		})
		if rate != look.rate || remaining != look.remaining {
			t.Errorf("after %s: %d bytes a second, %s left; want %d, %s", look.after, rate, remaining, look.rate, look.remaining)
		}
	}
}
