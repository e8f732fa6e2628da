package controllers

import (
	"testing"
	"time"
)

// One agent that reports without end must not use up what all pairs share.
func TestAPairWithNothingToDoIsNotObservedWithoutEnd(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var th throttle
	taken := 0
	for range 600 { // a minute of news every 100 ms
		if th.take(now) == 0 {
			taken++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if most := observeBurst + 60*observePerSecond + 1; taken > most {
		t.Errorf("%d observations in a minute, want at most %d", taken, most)
	}
	if wait := th.take(now); wait <= 0 || wait > time.Second {
		t.Errorf("the next one is in %s", wait)
	}
	th.free = true
	for range 200 {
		if wait := th.take(now); wait != 0 {
			t.Fatalf("a failover waits %s", wait)
		}
	}
	th.free = false
	now = now.Add(time.Minute)
	for n := range observeBurst {
		if wait := th.take(now); wait != 0 {
			t.Fatalf("news %d after a quiet minute waits %s", n, wait)
		}
	}
}
