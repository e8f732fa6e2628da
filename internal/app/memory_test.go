package app

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestATenthOfTheMemoryIsLeft(t *testing.T) {
	former := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(former) })
	for _, row := range []struct {
		name     string
		is, want int64
	}{
		{"none", math.MaxInt64, math.MaxInt64},
		{"that of the chart", 512 << 20, 483183821},
	} {
		debug.SetMemoryLimit(row.is)
		leaveRoom()
		if now := debug.SetMemoryLimit(-1); now != row.want {
			t.Errorf("%s: %d, want %d", row.name, now, row.want)
		}
	}
}
