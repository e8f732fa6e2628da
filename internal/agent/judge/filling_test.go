package judge

import (
	"math"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/authority"
)

func TestLowSpaceIsReportedInTwoSteps(t *testing.T) {
	for name, c := range map[string]struct {
		free   int64 // percent of what is used and free
		before int
		want   int
	}{
		"plenty":                        {free: 60},
		"at the first share":            {free: 20},
		"below it":                      {free: 19, want: 20},
		"a little above it again":       {free: 21, before: 20, want: 20},
		"clearly above it again":        {free: 22, before: 20},
		"below the second share":        {free: 9, before: 20, want: 10},
		"at once":                       {free: 3, want: 10},
		"a little above the second":     {free: 11, before: 10, want: 10},
		"clearly above the second":      {free: 12, before: 10, want: 20},
		"an empty volume after a full":  {free: 99, before: 10},
		"above the second, never below": {free: 11, before: 20, want: 20},
	} {
		space := volume.Space{
			Total: 1000, // some of which is kept for root
			Used:  (100 - c.free) * 9,
			Free:  c.free * 9,
		}
		if got := LowSpace(space, c.before); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := LowSpace(volume.Space{}, 10); got != 10 {
		t.Errorf("a volume that could not be measured: %d", got)
	}
}

func TestDaysUntilAVolumeIsFull(t *testing.T) {
	const gib = int64(1) << 30
	at := func(hours float64) authority.Instant { return authority.Instant(hours * float64(time.Hour)) }
	for name, c := range map[string]struct {
		fill func(*Filling)
		free int64
		want float64
	}{
		"no samples":         {fill: func(*Filling) {}, want: math.NaN()},
		"less than an hour":  {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(1.5), 2*gib) }, want: math.NaN()},
		"it does not fill":   {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(3), gib) }, want: math.Inf(1)},
		"it shrinks":         {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(3), 0) }, want: math.Inf(1)},
		"1 GiB in 2 hours":   {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(3), 2*gib) }, free: 36 * gib, want: 3},
		"nothing is free":    {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(3), 2*gib) }, want: 0},
		"samples too close":  {fill: func(f *Filling) { f.Add(at(1), gib); f.Add(at(1.1), 9*gib); f.Add(at(3), 2*gib) }, free: 12 * gib, want: 1},
		"only the last day":  {fill: func(f *Filling) { f.Add(at(0), 0); f.Add(at(30), 9*gib); f.Add(at(42), 10*gib) }, free: 2 * gib, want: 1},
		"a jump in the past": {fill: func(f *Filling) { f.Add(at(0), 90*gib); f.Add(at(30), gib); f.Add(at(42), 2*gib) }, free: 2 * gib, want: 1},
	} {
		var f Filling
		c.fill(&f)
		got := f.Days(c.free)
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: %v days, want %v", name, got, c.want)
		}
	}
}
