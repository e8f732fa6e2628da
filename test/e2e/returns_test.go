//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// roundsOfReturns is how often a pair loses its primary and gets it back.
const roundsOfReturns = 10

// TestReturns: failover, return, failover back and so on under load, in both kinds of durability.
// Each round ends with a pair that is in sync and whose acknowledged writes are all there, which
// Async promises for an orderly end only.
func TestReturns(t *testing.T) {
	harness.NeedsLong(t)
	for _, durability := range []string{"Lossless", "Async"} {
		t.Run(durability, func(t *testing.T) {
			t.Parallel()
			var rounds []fault
			for n := range roundsOfReturns {
				round := fault{
					name:   fmt.Sprintf("round %d: mysqld killed", n+1),
					want:   failsOver,
					inject: signal(unix.SIGKILL, harness.RoleMysqld),
				}
				if n%2 == 1 || durability == "Async" {
					round.name = fmt.Sprintf("round %d: pod deleted", n+1)
					round.inject = deletePod(nil)
				}
				rounds = append(rounds, round)
			}
			runFaults(t, "returns", rounds, func(*scene) string { return "durability: {mode: " + durability + "}" })
		})
	}
}
