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
type WallClock struct {
	offset time.Duration
	since  authority.Instant
}

// NewWallClock starts the comparison.
func NewWallClock() *WallClock { return &WallClock{offset: offset(), since: Now()} }

// Jump is by how much the wall clock has moved against CLOCK_BOOTTIME, once that is limit
// or more; 0 before. Moves add up for four times limit, so that a machine that is stopped
// for a moment again and again is noticed as well; slower slewing is followed.
func (w *WallClock) Jump(limit time.Duration) time.Duration {
	now := offset()
	at := Now()
	jump := now - w.offset
	far := jump.Abs() >= limit
	if far || at.Sub(w.since) >= 4*limit {
		w.offset = now
		w.since = at
	}
	if !far {
		return 0
	}
	return jump
}

// offset is of the quickest of a few readings: between the two clocks of one this process
// may have been taken off its processor for long.
func offset() time.Duration {
	const readings, quick = 10, 100 * time.Microsecond
	var best, took time.Duration
	for i := range readings {
		var wall unix.Timespec
		before := Now()
		_ = unix.ClockGettime(unix.CLOCK_REALTIME, &wall)
		after := Now()
		if i == 0 || after.Sub(before) < took {
			took = after.Sub(before)
			best = time.Duration(wall.Nano()) - time.Duration(before+(after-before)/2)
		}
		if took <= quick {
			break
		}
	}
	return best
}
