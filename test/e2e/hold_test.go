//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// held is for how long a door holds a client, and holdSpec says so to the pair. A failover on
// a busy machine may take longer.
const (
	held     = 20 * time.Second
	holdSpec = "services: {primary: {onRoleChange: Hold, holdTimeout: 20s}}"
)

// doorRefusal is how the error packet of a door begins in a client's record.
const doorRefusal = "1053 dbpair:"

// TestHold: clients with connections to a primary that dies connect again while nobody is open.
// Those that are led to the door of the candidate wait there, and none of them is refused.
func TestHold(t *testing.T) {
	t.Parallel()
	runFaults(t, "hold", []fault{
		{
			name:    "mysqld killed",
			want:    failsOver,
			inject:  signal(unix.SIGKILL, harness.RoleMysqld),
			clients: noneRefusedByTheDoor,
		},
		{
			name:    "primary's pod deleted",
			want:    failsOver,
			inject:  deletePod(nil),
			clients: noneRefusedByTheDoor,
			long:    true,
		},
	}, func(*scene) string { return holdSpec })
}

// noneRefusedByTheDoor looks at what each client recorded. A door refuses once it has held for
// holdTimeout, which does not begin before the last write was acknowledged. The port of the former
// primary has no door: until the nodes lead clients to one, the kernel refuses them, which is
// logged.
func noneRefusedByTheDoor(st *stage, report history.Report) error {
	tooSoon := 0
	afterwards := 0
	byKernel := 0
	for _, a := range report.Attempts {
		switch {
		case strings.HasPrefix(a.Error, doorRefusal) && a.Done.Sub(lastAcknowledged(report, a.Done)) < held:
			tooSoon++
		case strings.HasPrefix(a.Error, doorRefusal):
			afterwards++
		case strings.Contains(a.Error, "connection refused"):
			byKernel++
		}
	}
	st.Logf("%d attempts, %d refused by the former primary's port, %d by a door after holdTimeout", len(report.Attempts), byKernel, afterwards)
	if tooSoon > 0 {
		return fmt.Errorf("%d clients were refused by a door within holdTimeout", tooSoon)
	}
	return nil
}

// lastAcknowledged is when the last write before an instant was acknowledged.
func lastAcknowledged(report history.Report, before history.Stamp) history.Stamp {
	var last history.Stamp
	for _, a := range report.Attempts {
		if a.Acknowledged() && a.Done < before {
			last = max(last, a.Done)
		}
	}
	return last
}
