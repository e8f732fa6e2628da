package agent

import (
	"testing"
	"time"
)

func TestTheLastTimeOfBeingOpenEndsOnce(t *testing.T) {
	i := &instance{lastOpen: stamp{epoch: 3, opened: 10}}
	if i.closed(interval{}, 15) {
		t.Error("an interval that never began was closed")
	}
	if !i.closed(interval{epoch: 2, openedAt: 5}, 20) || i.lastOpen.closed != 0 {
		t.Errorf("the end of a former epoch is taken for that of this one: %+v", i.lastOpen)
	}
	if !i.closed(interval{epoch: 3, openedAt: 10}, 30) || !i.closed(interval{epoch: 3, openedAt: 10}, 40) {
		t.Error("an interval was not closed")
	}
	_, open := i.now()
	if open.closed != 30 {
		t.Errorf("closed at %d, want the first end", open.closed)
	}
	if got := open.describe(50); got == nil || got.OpenedAge != 40*time.Nanosecond || got.ClosedAge != 20*time.Nanosecond {
		t.Errorf("described as %+v", got)
	}
}

func TestAnIncarnationThatIsNotUpIsNotNamed(t *testing.T) {
	i := &instance{child: child{incarnation: "run-1"}}
	if i.isUp() || i.incarnation() != "" || i.newest() != "run-1" {
		t.Errorf("up %t as %q, newest %q", i.isUp(), i.incarnation(), i.newest())
	}
	i.child.up = true
	if !i.isUp() || i.incarnation() != "run-1" {
		t.Errorf("up %t as %q", i.isUp(), i.incarnation())
	}
	i.kill() // without a process it does nothing
	i.setDeadline(7)
	if i.child.deadline != 7 || i.process() != nil {
		t.Errorf("the deadline is %d", i.child.deadline)
	}
}
