package authority

import "time"

// The bounds that the margin beyond T rests on; docs/failover.md names them.
const (
	// DriftPercent is the most by which a clock is faster or slower than true time.
	DriftPercent = 5
	// KillTime is what may pass between the instant at which mysqld is to be killed and its
	// end: a late timer, and the kill itself.
	KillTime = 400 * time.Millisecond
)

// LeastMargin is the least that has to be waited beyond t before a silent primary counts as
// closed: by how much its clock and the one that waits can differ in that time, both at their
// worst, and KillTime.
func LeastMargin(t time.Duration) time.Duration {
	return 2*DriftPercent*t/100 + KillTime
}
