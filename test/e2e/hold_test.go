//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// holdSpec holds clients for longer than a failover takes on a busy machine.
const holdSpec = "services: {primary: {onRoleChange: Hold, holdTimeout: 20s}}"

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
		},
	}, func(*scene) string { return holdSpec })
}

// noneRefusedByTheDoor looks at what each client recorded. The port of the former primary has
// no door: until the nodes lead clients to one, the kernel refuses them, which is logged.
func noneRefusedByTheDoor(st *stage, report history.Report) error {
	byDoor := 0
	byKernel := 0
	for _, a := range report.Attempts {
		switch {
		case strings.HasPrefix(a.Error, doorRefusal):
			byDoor++
		case strings.Contains(a.Error, "connection refused"):
			byKernel++
		}
	}
	st.Logf("%d attempts, %d refused by the former primary's port", len(report.Attempts), byKernel)
	if byDoor > 0 {
		return fmt.Errorf("%d clients were refused by a door within holdTimeout", byDoor)
	}
	return nil
}
