package judge

import "time"

const (
	seedPause      = 3 * time.Second
	seedPauseLong  = 10 * time.Second
	mostSeedPause  = 5 * time.Minute
	seedsInEarnest = 3
)

// SeedPause is how long a member waits after so many copies in a row have failed in their middle before it takes
// the order for the next one. From the third on the pause grows: each attempt reads all of the
// primary's data, and what made three fail is seldom gone a moment later.
func SeedPause(failures int) time.Duration {
	if failures < seedsInEarnest {
		return seedPause
	}
	pause := seedPauseLong
	for range failures - seedsInEarnest {
		if pause *= 2; pause >= mostSeedPause {
			return mostSeedPause
		}
	}
	return pause
}
