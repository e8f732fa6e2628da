package sim

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

var (
	seeds      = flag.Int("seeds", 300, "how many seeds TestSeeds runs")
	first      = flag.Uint64("first", 1, "the first of them")
	oneStory   = flag.String("story", "", "draw this story for every seed")
	pendingToo = flag.Bool("pending", false, "tell the stories as well that find defects which are not fixed yet")
	hunt       = flag.Bool("hunt", false, "stop at the first seed that finds something, and fail when none does")
	stuckToo   = flag.Bool("stuck", false, "with -hunt: a run that is merely stuck counts")
	oneSeed    = flag.Uint64("seed", 0, "run this seed alone and print its transcript")
)

// play is one run from a seed.
func play(seed uint64, trace bool) *world {
	w := newWorld(seed, draw(seed))
	w.trace = trace
	w.faultsEnd = faultsOver
	w.tracef("%s", w.set)
	for _, m := range w.members {
		w.after(0, m.makePod)
	}
	w.after(0, w.ops[0].begin)
	if w.set.twoOperators {
		w.after(15*time.Second, w.ops[1].begin)
	}
	for _, s := range []site{siteOut, site0, site1} {
		c := &writer{w: w, site: s}
		w.writers = append(w.writers, c)
		w.after(0, c.loop)
	}
	for _, f := range w.set.faults {
		w.arm(f)
	}
	if w.set.person {
		w.watchDoubts()
	}
	w.watch()
	for w.now < runEnds && w.violation == "" {
		w.run(max(w.now+2*time.Second, w.faultsEnd+6*time.Second))
		if w.settled() && w.untold() == "" || w.hibernates() {
			break
		}
	}
	w.alive()
	w.checkGap()
	w.checkWhole()
	w.checkFollows()
	w.told()
	w.checkRolledOut()
	w.checkHibernated()
	for _, o := range w.ops {
		o.end()
	}
	return w
}

func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		w := play(*oneSeed, true)
		t.Logf("%s", w.transcript())
		if w.violation != "" {
			t.Fatalf("seed %d: %s", *oneSeed, w.violation)
		}
		return
	}
	debug.SetGCPercent(600)
	if *hunt {
		huntSeeds(t)
		return
	}
	fired := map[string]int{}
	var mu sync.Mutex
	var failed []string
	acks := 0
	begin := time.Now()
	each(*first, *seeds, func(seed uint64) bool {
		w := play(seed, false)
		mu.Lock()
		defer mu.Unlock()
		acks += w.acks
		for k, n := range w.fired {
			fired[k] += n
		}
		if w.violation != "" {
			failed = append(failed, fmt.Sprintf("seed %d: %s\n  reproduce: go test ./internal/sim -run TestSeeds -seed=%d -v\n  %s", seed, w.violation, seed, w.set))
		}
		return len(failed) < 20
	})
	t.Logf("%d seeds in %s, %d acknowledged writes", *seeds, time.Since(begin).Round(time.Millisecond), acks)
	t.Logf("%s", coverage(fired))
	for _, f := range failed {
		t.Error(f)
	}
	if *seeds >= 3000 {
		checkCoverage(t, fired)
	}
}

// huntSeeds is TestSeeds over code with a mutant: the bug has to be found. A bug that
// breaks safety is not found by a run that is merely stuck.
func huntSeeds(t *testing.T) {
	var mu sync.Mutex
	tried := 0
	found := false
	each(*first, *seeds, func(seed uint64) bool {
		w := play(seed, false)
		mu.Lock()
		defer mu.Unlock()
		if found {
			return false
		}
		tried++
		stuck := slices.ContainsFunc([]string{"stuck", "wedged", "gap", "dead end"}, func(what string) bool {
			return strings.HasPrefix(w.violation, what)
		})
		if w.violation != "" && (!stuck || *stuckToo) {
			found = true
			t.Logf("HUNT found %d seed %d: %s", tried, seed, w.violation)
		}
		return !found
	})
	if !found {
		t.Errorf("%d seeds found nothing", tried)
	}
}

// elsewhere are the rules that the simulator has no cause for; unit tests have.
var elsewhere = []failover.RuleName{
	failover.RuleDeleting, failover.RulePaused, failover.RuleAdoptVolumes, failover.RuleMemberProblem, failover.RuleAgentOutdated,
	failover.RuleRestartPending, failover.RuleStaleObservation, failover.RuleAuthorityMalformed, failover.RuleReplacePendingPod,
	failover.RuleNeverCompared, failover.RuleWriteRefused, failover.RuleMembersEqual, failover.RuleDrift, failover.RuleComparisonStale,
	failover.RuleDrill,
}

// checkCoverage: every rule fired and every proof was used.
func checkCoverage(t *testing.T, fired map[string]int) {
	for _, r := range failover.RuleNames {
		if fired["rule "+string(r)] == 0 && !slices.Contains(elsewhere, r) {
			t.Errorf("rule %s never fired", r)
		}
	}
	for _, k := range fencing.Kinds {
		if fired["proof "+string(k)] == 0 {
			t.Errorf("proof %s was never used", k)
		}
	}
}

// settled: there is nothing more to see.
func (w *world) settled() bool {
	if w.hibernate {
		return false
	}
	for _, o := range w.ops {
		if o.leads && (o.plan.Kind != failover.Settled || o.plan.Rule == failover.RuleDeleting) {
			return false
		}
	}
	return w.now-w.ackedAt < time.Second
}

// each runs seeds on all cores until one says enough.
func each(from uint64, n int, run func(uint64) bool) {
	var wg sync.WaitGroup
	next := make(chan uint64)
	stop := make(chan struct{})
	var once sync.Once
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range next {
				if !run(seed) {
					once.Do(func() { close(stop) })
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- from + uint64(i):
		case <-stop:
			break feed
		}
	}
	close(next)
	wg.Wait()
}

func coverage(fired map[string]int) string {
	var keys []string
	for k := range fired {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s %d\n", k, fired[k])
	}
	return b.String()
}
