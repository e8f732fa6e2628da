package controllers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/failover"
)

// turns are the pairs whose pods may be made again now. A change that many pairs get at once
// reaches them one after the other, and stops at the first one that it breaks. The zero value has
// one turn; it is safe for concurrent use.
type turns struct {
	most int
	now  clock

	mu    sync.Mutex
	begun time.Time
	taken map[types.NamespacedName]bool
}

// recovering is how long after the start pairs are found that the former operator was busy with.
// It is no longer than any pair has to be observed before its rollout goes on.
const recovering = 8 * time.Second

func newTurns(most int, now clock) *turns {
	return &turns{
		most:  max(most, 1),
		now:   now,
		begun: now(),
		taken: map[types.NamespacedName]bool{},
	}
}

// held says why this pair has to wait; empty when it need not.
func (t *turns) held(name types.NamespacedName) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken[name] || len(t.taken) < t.most {
		return ""
	}
	var others []string
	for other := range t.taken {
		others = append(others, other.String())
	}
	slices.Sort(others)
	return fmt.Sprintf("its turn comes after %s (--max-parallel-rollouts of the operator is %d)", strings.Join(others, ", "), t.most)
}

// take gives the pair a turn, and reports whether there was one. A pair that has one keeps it.
func (t *turns) take(name types.NamespacedName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taken[name] && len(t.taken) >= t.most {
		return false
	}
	t.taken[name] = true
	return true
}

// release ends the pair's turn.
func (t *turns) release(name types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, name)
}

// recall gives a pair the turn that it had before this process began: its rollout is under way.
func (t *turns) recall(name types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.begun) < recovering {
		t.taken[name] = true
	}
}

// decide asks failover.Decide, with regard to the pairs that are rolled out now.
func (r *PairReconciler) decide(v *visit, o failover.Observation) failover.Plan {
	if o.RolloutUnderWay() {
		r.turns.recall(v.name)
	}
	o.RolloutHeld = r.turns.held(v.name)
	plan := failover.Decide(o)
	if plan.Rule == failover.RuleRollout && len(plan.Steps) > 0 && !r.turns.take(v.name) {
		// Another pair took the last turn in between.
		o.RolloutHeld = r.turns.held(v.name)
		plan = failover.Decide(o)
	}
	done := !o.NeedsRollout() && (plan.FailoverReady.Ready || o.Settings.Deleting)
	if done || o.Settings.Paused || o.Hibernates() {
		r.turns.release(v.name)
	}
	return plan
}
