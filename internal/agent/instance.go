package agent

import (
	"context"
	"sync"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// instance is what is known of the mysqld of this agent. Nothing is waited for under its lock:
// what must not be late takes it.
type instance struct {
	mu       sync.Mutex
	child    child
	lastOpen stamp
}

// child is the mysqld of this agent, under instance.mu.
type child struct {
	proc        *process.Mysqld
	incarnation pair.Incarnation
	version     string
	checked     string            // option file that mysqld has accepted
	rendered    map[string]string // the user's settings in the newest option file
	settings    map[string]string // those with which mysqld was started
	complaints  []string
	exits       int
	lastExit    string
	deadline    authority.Instant
	stop        context.CancelFunc // ends a start under way
	openCancel  context.CancelFunc
	openDone    chan struct{}
	up          bool // answers and was read back
	memoryKills int  // of the container when this mysqld was started
	terminated  bool // the agent asked it to end
	outside     bool // something else did
	opened      interval
	closedWith  string // GTIDs of the binlog when mysqld was last proven closed
}

// interval is one stretch in which this member may have been open.
type interval struct {
	epoch    pair.Epoch
	openedAt authority.Instant
}

// stamp is when this member accepted writes last, for the report of a failover.
type stamp struct {
	epoch          pair.Epoch
	opened, closed authority.Instant // closed is 0 while it is open
}

// describe is the stamp as it is published; nil when it never opened.
func (s stamp) describe(now authority.Instant) *agentapi.OpenInterval {
	if s.opened == 0 {
		return nil
	}
	out := &agentapi.OpenInterval{Epoch: s.epoch, OpenedAge: now.Sub(s.opened)}
	if s.closed != 0 {
		out.ClosedAge = max(now.Sub(s.closed), 1)
	}
	return out
}

// kill kills mysqld without looking at anything else.
func (i *instance) kill() {
	i.mu.Lock()
	proc := i.child.proc
	stop := i.child.stop
	i.mu.Unlock()
	if proc != nil {
		proc.Kill()
	}
	if stop != nil {
		stop()
	}
}

func (i *instance) setDeadline(at authority.Instant) {
	i.mu.Lock()
	i.child.deadline = at
	proc := i.child.proc
	i.mu.Unlock()
	if proc != nil {
		proc.SetDeadline(at)
	}
}

// process is nil when none runs.
func (i *instance) process() *process.Mysqld {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.proc
}

// isUp reports whether mysqld answers and was read back.
func (i *instance) isUp() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.up
}

// incarnation of the mysqld that is up; empty without one.
func (i *instance) incarnation() pair.Incarnation {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.child.up {
		return ""
	}
	return i.child.incarnation
}

// newest is the incarnation that was started last, whether or not it is up.
func (i *instance) newest() pair.Incarnation {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.incarnation
}

// closedWith is what the binlog held when mysqld was last proven closed.
func (i *instance) closedWith() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.closedWith
}

// closed notes until when the member was open in an interval. It reports false for one that
// never began.
func (i *instance) closed(o interval, at authority.Instant) bool {
	if o.openedAt == 0 {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lastOpen.epoch == o.epoch && i.lastOpen.closed == 0 {
		i.lastOpen.closed = at
	}
	return true
}

// now is the mysqld and the last time in which it was open, of one instant.
func (i *instance) now() (child, stamp) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child, i.lastOpen
}

// program is the version of the image's mysqld; empty before it is known.
func (i *instance) program() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.version
}

func (i *instance) hasProgram(version string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.version = version
}

// accepted is the option file that mysqld has accepted, and what it says of its settings.
func (i *instance) accepted() (text string, complaints []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.checked, i.child.complaints
}

func (i *instance) hasAccepted(text string, complaints []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.checked = text
	i.child.complaints = complaints
}

// hasRendered notes the user's settings in the option file with which mysqld is started next.
func (i *instance) hasRendered(settings map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.rendered = settings
}

// running is the mysqld that is up, and the user's settings with which it was started; no incarnation without one.
func (i *instance) running() (pair.Incarnation, map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.child.up {
		return "", nil
	}
	return i.child.incarnation, i.child.settings
}

// starting notes what ends a start that is under way.
func (i *instance) starting(stop context.CancelFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.stop = stop
}

func (i *instance) started(proc *process.Mysqld, incarnation pair.Incarnation) {
	kills := memoryKills()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.proc = proc
	i.child.incarnation = incarnation
	i.child.settings = i.child.rendered
	i.child.up = false
	i.child.memoryKills = kills
	i.child.terminated = false
	i.child.outside = false
}

// hasComeUp: mysqld answers and was read back.
func (i *instance) hasComeUp() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.up = true
}

// lastExit is what is known of a mysqld that has ended.
type lastExit struct {
	opened          interval // in which it may have been open until its end
	killedForMemory bool
	terminated      bool // the agent asked it to end
	outside         bool // something else did
}

// exited forgets a mysqld that has ended, and ends what was under way with it.
func (i *instance) exited(how string) lastExit {
	kills := memoryKills()
	i.mu.Lock()
	c := &i.child
	c.proc = nil
	c.up = false
	c.deadline = 0
	c.exits++
	c.lastExit = how
	last := lastExit{
		opened:          c.opened,
		killedForMemory: kills > c.memoryKills,
		terminated:      c.terminated,
		outside:         c.outside,
	}
	c.opened = interval{}
	stop := c.stop
	cancelOpen := c.openCancel
	i.mu.Unlock()
	for _, cancel := range []context.CancelFunc{stop, cancelOpen} {
		if cancel != nil {
			cancel()
		}
	}
	return last
}

// wasAskedToEnd reports whether the agent asked this process to end, and notes that something
// else did when it was not the agent.
func (i *instance) wasAskedToEnd(proc *process.Mysqld) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := i.child.proc != proc || i.child.terminated
	i.child.outside = i.child.outside || !asked
	return asked
}

// terminating notes that the agent asks mysqld to end, and returns it; nil when none runs.
func (i *instance) terminating() *process.Mysqld {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.terminated = true
	return i.child.proc
}

// forgetProcess: a mysqld of a maintenance has ended.
func (i *instance) forgetProcess() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.proc = nil
}

// opening notes what ends an opening that is under way, and returns the mysqld that is opened,
// nil when it has ended, with its deadline.
func (i *instance) opening(cancel context.CancelFunc, done chan struct{}) (*process.Mysqld, authority.Instant) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.openCancel = cancel
	i.child.openDone = done
	return i.child.proc, i.child.deadline
}

// openUnderWay is what ends the opening that is under way, nil for none, and its end.
func (i *instance) openUnderWay() (cancel context.CancelFunc, done <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.child.openCancel, i.child.openDone
}

// mayBeOpen: from now on clients may write.
func (i *instance) mayBeOpen(o interval) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child.opened = o
}

// hasOpened notes since when the member accepts writes, for the report of a failover.
func (i *instance) hasOpened(at stamp) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lastOpen = at
}

// provenClosed takes the interval in which it may have been open, and notes what the binlog held.
func (i *instance) provenClosed(binlog string) interval {
	i.mu.Lock()
	defer i.mu.Unlock()
	opened := i.child.opened
	i.child.opened = interval{}
	i.child.closedWith = binlog
	return opened
}
