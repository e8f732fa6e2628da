package agent

import (
	"testing"

	"github.com/dbpair/dbpair/internal/authority"
)

func TestAnEventAfterTheEndBlocksNobody(t *testing.T) {
	q := newQueue()
	for range cap(q.events) {
		q.post(authority.Tick{})
	}
	ends := 0
	for range 2 {
		q.end(func() { ends++ })
	}
	if ends != 1 {
		t.Errorf("it ended %d times", ends)
	}
	q.post(authority.Tick{}) // nobody takes it
}

func TestAnAnswerComesToWhoAskedOnce(t *testing.T) {
	var all answers
	mine, forget := all.await("mine")
	defer forget()
	late, forgetLate := all.await("late")
	forgetLate()
	for range 2 { // the second one is dropped and blocks nobody
		all.deliver("mine", authority.Answer{ID: "mine"})
		all.deliver("late", authority.Answer{ID: "late"})
		all.deliver("unknown", authority.Answer{ID: "unknown"})
	}
	if got, ok := (<-mine).(authority.Answer); !ok || got.ID != "mine" {
		t.Errorf("got %+v", got)
	}
	if len(mine) != 0 || len(late) != 0 || len(all.waiting) != 0 {
		t.Errorf("left: %d for the one that has its answer, %d for the one that gave up, %d that wait", len(mine), len(late), len(all.waiting))
	}
}
