package sim

import (
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	holdTimeout = time.Second
	// heldMost is what a client may wait at a door by the clock of the world: that of a member
	// drifts, and the client asks now and then.
	heldMost = holdTimeout + 200*time.Millisecond
	// standstill is between two questions of a client to an agent that does not run meanwhile.
	standstill = 50 * time.Millisecond
	// lateProxy is how likely a client is led by a former state of the Service.
	lateProxy = 0.1
)

// knock is a client that is led to a door: it waits there without an answer until it is let
// through, is refused, or gives up.
func (c *writer) knock(p *pod) {
	if p == nil || p.agent == nil || p.agent.machine == nil || c.w.cut[c.site][p.member.site] > 0 || c.w.cut[p.member.site][c.site] > 0 {
		return
	}
	c.busy = true
	c.knocks++
	a := p.agent
	mine := c.knocks
	since := c.w.now
	last := since
	var ask func()
	ask = func() {
		if c.knocks != mine || !c.busy {
			return
		}
		if c.w.now-last > standstill {
			since = c.w.now // the agent or its machine stood still
		}
		last = c.w.now
		switch a.door.Ask(a.local(), 0) {
		case door.Relay:
			c.w.fired["relayed"]++
			c.w.checkRelay(a)
			c.busy = false
			c.conn = a.mysqld
		case door.Forward:
			c.w.fired["forwarded"]++
			c.busy = false
			to, _ := a.door.Forwards()
			c.conn = c.w.mysqldAt(to)
		case door.Wait:
			c.w.fired["held"]++
			c.w.checkHeld(a, since)
			a.later(c.w.between(time.Millisecond, 10*time.Millisecond), ask)
		case door.RefuseClosed, door.RefuseFull:
			c.busy = false
		}
	}
	a.pass(ask)
	c.w.after(20*time.Second, func() {
		if c.knocks == mine {
			c.busy = false
		}
	})
}

// mysqldAt is the mysqld of the pod with this address and port; nil when none answers there.
func (w *world) mysqldAt(address string) *mysqld {
	for _, p := range w.api.pods {
		if p != nil && p.agent != nil && p.ip() != "" && address == net.JoinHostPort(p.ip(), strconv.Itoa(pair.PortMySQL)) {
			return p.agent.mysqld
		}
	}
	return nil
}

// checkRelay: no client is let through to a mysqld that is not open at the epoch of the gate,
// nor before the deletion of the pod that the Service led to before was accepted. One that has
// just died takes no connection.
func (w *world) checkRelay(a *agentSim) {
	s := a.mysqld
	epoch, _ := a.door.Open()
	if s != nil && !s.dead && (!s.open || s.epoch != epoch) {
		w.violate("relay", "the door of %s lets a client through at epoch %d to a mysqld that is not open at it", a, epoch)
	}
	led := w.api.led
	if led == nil || led == a.pod || led.deleting || !slices.Contains(w.api.pods[:], led) || w.blind {
		return
	}
	// The deletion was accepted, and then the store forgot it. The door learned of the deletion and not of that.
	if forgotten := w.restored && led.asked > 0; forgotten {
		return
	}
	// An agent that stood still may not know yet that this pod is the primary's again.
	later := w.api.lease != nil && w.api.lease.Epoch > epoch && w.api.lease.Holder.PodUID == led.uid
	if !w.demoted(led) && !later {
		w.violate("relay", "the door of %s lets a client through at epoch %d, and pod %s/%s, to which clients were led before, was not deleted",
			a, epoch, led.member.name, led.uid)
	}
}

// checkHeld: the time of holding is bounded.
func (w *world) checkHeld(a *agentSim, since time.Duration) {
	if w.now-since > heldMost {
		w.violate("held", "a client has been held for %s at the door of %s", w.now-since, a)
	}
}
