package judge

import (
	"math"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/authority"
)

// The shares of a volume, in percent, below which its free space is reported, and what has to be
// free beyond one of them before it is not reported any more.
const (
	lowSpace     = 20
	veryLowSpace = 10
	lowMargin    = 2
)

// LowSpace is the share of which less is free, zero for none. before is the last answer: at the
// edge of a share it does not change with every file.
func LowSpace(s volume.Space, before int) int {
	usable := s.Used + s.Free
	if usable <= 0 {
		return before
	}
	free := float64(s.Free) / float64(usable) * 100
	for _, share := range []int{veryLowSpace, lowSpace} {
		edge := float64(share)
		if before > 0 && before <= share {
			edge += lowMargin
		}
		if free < edge {
			return share
		}
	}
	return 0
}

const (
	// fillingWindow is how long back the filling of a volume is looked at, and fillingLeast the
	// least time that says something.
	fillingWindow = 24 * time.Hour
	fillingLeast  = time.Hour
	// fillingEvery is the time between two samples.
	fillingEvery = 10 * time.Minute
)

// Filling is how a volume has filled lately. The zero value has no samples. It is not safe for
// concurrent use.
type Filling struct{ samples []filled }

type filled struct {
	at   authority.Instant
	used int64
}

// Add takes how many bytes are used, unless the last sample is less than ten minutes old.
func (f *Filling) Add(at authority.Instant, used int64) {
	if n := len(f.samples); n > 0 && at.Sub(f.samples[n-1].at) < fillingEvery {
		return
	}
	f.samples = append(f.samples, filled{at: at, used: used})
	for len(f.samples) > 1 && at.Sub(f.samples[0].at) > fillingWindow {
		f.samples = f.samples[1:]
	}
}

// Days until so many free bytes are used up, if the volume goes on filling as it did between the
// first and the last sample: +Inf when it does not fill, NaN while the samples span less than an
// hour.
func (f *Filling) Days(free int64) float64 {
	if len(f.samples) == 0 {
		return math.NaN()
	}
	first := f.samples[0]
	last := f.samples[len(f.samples)-1]
	span := last.at.Sub(first.at)
	if span < fillingLeast {
		return math.NaN()
	}
	grown := last.used - first.used
	if grown <= 0 {
		return math.Inf(1)
	}
	perDay := float64(grown) / span.Hours() * 24
	return float64(max(free, 0)) / perDay
}
