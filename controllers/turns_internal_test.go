package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestPairsAreRolledOutOneAfterTheOther(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	name := func(s string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: s} }
	a, b, c := name("a"), name("b"), name("c")
	turns := newTurns(0, func() time.Time { return now })
	if why := turns.held(a); why != "" {
		t.Errorf("the first one waits: %s", why)
	}
	for range 2 { // again is success
		if !turns.take(a) {
			t.Error("the first one has no turn, or loses it")
		}
	}
	if turns.take(b) {
		t.Error("two have a turn")
	}
	if why := turns.held(b); !strings.Contains(why, "ns/a") || !strings.Contains(why, "--max-parallel-rollouts") {
		t.Errorf("the second one waits for %q", why)
	}
	turns.release(a)
	if turns.held(b) != "" || !turns.take(b) {
		t.Error("the turn did not end")
	}
	// What the former operator was busy with goes on, and counts.
	turns.recall(a)
	if turns.held(a) != "" || turns.held(c) == "" {
		t.Error("a rollout that is under way does not count")
	}
	turns.release(b)
	if turns.take(c) {
		t.Error("a rollout that is under way does not count")
	}
	now = now.Add(time.Minute)
	turns.recall(c)
	if turns.held(c) == "" {
		t.Error("a turn is taken without asking, long after the start")
	}
}
