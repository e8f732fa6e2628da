package harness

import (
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// Now is CLOCK_BOOTTIME, which this machine shares with every kind node.
func Now() history.Stamp {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // cannot fail on any Linux this runs on
	}
	return history.Stamp(ts.Nano())
}
