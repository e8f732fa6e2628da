package sim

import "time"

// writer is a client: it keeps its connection until it breaks, and then asks the Service.
type writer struct {
	w    *world
	site site
	conn *mysqld
	busy bool
	// knocks counts the doors that were tried.
	knocks int
}

func (c *writer) loop() {
	c.w.after(c.w.between(100*time.Millisecond, 500*time.Millisecond), c.loop)
	if c.busy || c.w.resting > 0 {
		return
	}
	if c.conn == nil || c.conn.dead || !c.conn.open || c.conn.a.closesIdle() {
		c.conn = nil
		p := c.w.api.endpoint()
		if p == nil && c.w.set.holds {
			c.knock(c.w.api.behind())
			return
		}
		if c.w.set.holds && c.w.chance(lateProxy) {
			// A node whose proxy has not seen the Service's move yet.
			c.knock(c.w.api.pods[c.w.rng.IntN(2)])
			return
		}
		if p == nil || p.agent == nil || p.agent.mysqld == nil {
			return
		}
		c.conn = p.agent.mysqld
	}
	s := c.conn
	if c.w.cut[c.site][s.m.site] > 0 || c.w.cut[s.m.site][c.site] > 0 {
		c.conn = nil
		return
	}
	c.busy = true
	answered := false
	s.later(200*time.Microsecond, func() {
		s.write(func(ok bool, t int) {
			if answered {
				return
			}
			answered = true
			c.busy = false
			if ok {
				c.w.acked(s, t)
			} else {
				c.conn = nil
			}
		})
	})
	c.w.after(20*time.Second, func() {
		if !answered {
			c.busy = false
			c.conn = nil
		}
	})
}
