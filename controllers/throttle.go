package controllers

import "time"

// throttle limits how often a pair is observed while there is nothing to do: each observation
// reads the Lease, and an agent that reports news without end, by a fault or on purpose,
// would use up the requests of all pairs. A pair in the middle of something is not limited.
// The zero value is full.
type throttle struct {
	// free: the last observation called for a step, or nobody is the primary.
	free bool

	spent float64
	at    time.Time
}

const (
	// observeBurst is how many observations may follow each other without a pause; the news of
	// a failover are a handful.
	observeBurst = 30
	// observePerSecond is how many there are in the long run.
	observePerSecond = 2
)

// take takes one observation, or returns how long to wait for it.
func (t *throttle) take(now time.Time) time.Duration {
	if t.free {
		t.at = now
		return 0
	}
	if passed := now.Sub(t.at); passed > 0 {
		t.spent = max(0, t.spent-passed.Seconds()*observePerSecond)
		t.at = now
	}
	if t.spent+1 > observeBurst {
		return time.Second / observePerSecond
	}
	t.spent++
	return 0
}
