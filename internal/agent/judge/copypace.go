package judge

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// paceOver is the time over which the rate of a copy is taken.
const paceOver = 15 * time.Second

// CopyPace is how fast a copy (CLONE) goes. The zero value is that of one that has not begun.
type CopyPace struct {
	stage string
	seen  []paceMark // of this stage, the oldest first
}

type paceMark struct {
	at    authority.Instant
	bytes int64
}

// Saw takes in what mysqld says of the copy now. It returns the rate over the last seconds, in
// bytes a second, and what the stage still takes at that rate; zero for unknown, as at its begin.
func (p *CopyPace) Saw(now authority.Instant, progress mysqlops.CloneProgress) (rate int64, remaining time.Duration) {
	if progress.Stage != p.stage {
		*p = CopyPace{stage: progress.Stage}
	}
	p.seen = append(p.seen, paceMark{at: now, bytes: progress.Bytes})
	for len(p.seen) > 2 && now.Sub(p.seen[1].at) >= paceOver {
		p.seen = p.seen[1:]
	}
	took := now.Sub(p.seen[0].at)
	copied := progress.Bytes - p.seen[0].bytes
	if took <= 0 || copied <= 0 {
		return 0, 0
	}
	rate = int64(float64(copied) / took.Seconds())
	left := progress.Total - progress.Bytes
	if rate <= 0 || left <= 0 {
		return rate, 0
	}
	return rate, time.Duration(float64(left) / float64(rate) * float64(time.Second))
}
