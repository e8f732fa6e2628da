package process

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/authority"
)

// Now reads CLOCK_BOOTTIME.
func Now() authority.Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("clock_gettime(CLOCK_BOOTTIME): " + err.Error())
	}
	return authority.Instant(ts.Nano())
}

// WallClock compares the wall clock with CLOCK_BOOTTIME.
type WallClock struct{ offset time.Duration }

// NewWallClock starts the comparison.
func NewWallClock() *WallClock { return &WallClock{offset: offset()} }

// Jump is by how much the wall clock has moved against CLOCK_BOOTTIME since the last
// call that returned more than limit, or since the start; 0 when it is less than limit.
// Slow slewing of less than limit between two calls is followed.
func (w *WallClock) Jump(limit time.Duration) time.Duration {
	now := offset()
	jump := now - w.offset
	w.offset = now
	if jump.Abs() < limit {
		return 0
	}
	return jump
}

func offset() time.Duration {
	var wall unix.Timespec
	before := Now()
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &wall)
	after := Now()
	return time.Duration(wall.Nano()) - time.Duration(before+(after-before)/2)
}
