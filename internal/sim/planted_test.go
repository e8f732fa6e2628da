//go:build plantedbugs

package sim

import (
	"flag"
	"strings"
	"sync"
	"testing"

	pkgplanted "github.com/dbpair/dbpair/internal/planted"
)

var oneBug = flag.String("bug", "", "plant this bug alone")

var plantedSeeds = flag.Int("plantedseeds", 8000, "how many seeds each planted bug gets")

// bugs are the planted bugs, each with the rule of the protocol that it breaks.
// F10 is a dead end, the others break safety: for them a run that is merely stuck does not
// count.
var bugs = []struct{ name, breaks string }{
	{"F1", "a joining primary waits"},
	{"executedSnapshot", "F2: what is covered is the binlog, waiting commits included"},
	{"F3", "a proof answers a question sent after the revocation"},
	{"F4", "ceasing is an epoch on the volume"},
	{"F5", "after a forced promotion nothing is rewound"},
	{"F6", "the reverse channel opens only when the old member is known to be closed"},
	{"lateSeed", "F8: a late re-seed is refused by the agent's own reading"},
	{"F10", "a failover whose candidate is lost is abandoned"},
	{"F12", "an epoch known before needs the peer's word; a rolled back authority is doubt"},
	{"F13", "in Async an expired authority is no proof"},
	{"promoteBeforeProof", "nobody is appointed without proofs"},
	{"vouchFromReply", "a vouch counts from before it was asked"},
	{"leaseFromReply", "a reading counts from before it was asked"},
	{"vouchReplayed", "a vouch answers one nonce"},
	{"forcedDeleteIsProof", "a pod that is not found proves nothing"},
	{"noLedgerVersions", "an older ledger that arrives late is not acted on"},
	{"noIncarnation", "the ledger names the run of mysqld"},
	{"noTailRule", "a tail that recovery committed is covered before opening"},
	{"thirdAcker", "acknowledgements come from the peer alone"},
	{"expiryTooSoon", "the whole of T and the margin is waited for"},
	{"blindWrite", "the authority is written by compare-and-swap"},
	{"noDeadman", "a deadline kills mysqld when the agent does not"},
	{"noSelfFence", "a confirmation lapses after T"},
	{"serviceEarly", "the Service leads to mysqld only after the proof"},
	{"promoteOutsideLedger", "only a member in sync is promoted"},
}

func init() { plant = func() { pkgplanted.Active = *oneBug } }

func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range bugs {
		if *oneBug != "" && bug.name != *oneBug {
			continue
		}
		t.Run(bug.name, func(t *testing.T) {
			pkgplanted.Active = bug.name
			defer func() { pkgplanted.Active = "" }()
			var mu sync.Mutex
			tried, found := 0, ""
			each(1, *plantedSeeds, func(seed uint64) bool {
				w := play(seed, false)
				mu.Lock()
				defer mu.Unlock()
				tried++
				stuck := strings.HasPrefix(w.violation, "stuck") || strings.HasPrefix(w.violation, "wedged")
				if w.violation != "" && found == "" && (!stuck || bug.name == "F10") {
					found = w.violation
					t.Logf("%-22s found by seed %d, the %d. tried: %s", bug.name, seed, tried, found)
				}
				return found == ""
			})
			if found == "" {
				t.Errorf("%d seeds did not find: %s", tried, bug.breaks)
			}
		})
	}
}
