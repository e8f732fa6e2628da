package door

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Limits of a relay.
const (
	// dialLimit is how long the connection to the mysqld in the same pod may take.
	dialLimit = time.Second
	// closeLimit is how long after mysqld was closed its last words may take to its clients.
	closeLimit = 5 * time.Second
	// partLimit is how long a client may take to hang up after mysqld has.
	partLimit = time.Second
)

// relay is one client that was let through to mysqld.
type relay struct {
	client *net.TCPConn
	server *net.TCPConn // nil until it is connected
	epoch  pair.Epoch
	// forwardTo is the address of another member's mysqld; empty for this one's.
	forwardTo string
	cancel    context.CancelFunc
}

// cut ends the relay now. Called with the door's lock held.
func (r *relay) cut() {
	r.cancel()
	_ = r.client.SetDeadline(time.Unix(1, 0))
	if r.server != nil {
		_ = r.server.SetDeadline(time.Unix(1, 0))
	}
}

// endRelays ends what is relayed to a mysqld that is not open any more, whose sessions are
// ended by the fence. Called with the lock held.
func (d *Door) endRelays() {
	for r := range d.relays {
		if r.forwardTo != "" {
			continue // the other member's fence ends it
		}
		r.cancel()
		if r.server != nil {
			_ = r.server.SetDeadline(time.Now().Add(closeLimit))
			_ = r.client.SetDeadline(time.Now().Add(closeLimit))
		}
	}
}

// relay connects a client to mysqld and passes bytes on until both have hung up. The gate is
// asked again, under its lock, when the connection is there: nothing is passed to or from a
// mysqld that was closed meanwhile. False: it was, and the client is still there.
func (d *Door) relay(g *guest, waited bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	r := &relay{client: g.conn, cancel: cancel}
	if !d.begin(r) {
		return false
	}
	server, err := d.cfg.Dial(ctx)
	if !d.connect(r, server) {
		if server != nil {
			_ = server.Close()
		}
		return false
	}
	if err != nil {
		d.forget(r)
		d.report(g, MysqldUnreachable, waited)
		d.refuse(g.conn)
		return true
	}
	d.let(r, g, waited)
	return true
}

// forward is relay to the mysqld of the primary. One that takes no connection is forwarded to
// no longer, and the gate is asked again.
func (d *Door) forward(g *guest, waited bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	r := &relay{client: g.conn, cancel: cancel}
	if !d.beginForward(r) {
		return false
	}
	server, err := d.cfg.DialForward(ctx, r.forwardTo)
	d.mu.Lock()
	if to, _ := d.gate.Forwards(); err != nil && to == r.forwardTo {
		d.gate.Cancel()
	}
	ended := d.ended
	r.server = server
	d.mu.Unlock()
	if err != nil || ended {
		d.forget(r)
		if server != nil {
			_ = server.Close()
		}
		return false
	}
	d.let(r, g, waited)
	return true
}

// let passes bytes until both have hung up.
func (d *Door) let(r *relay, g *guest, waited bool) {
	_ = g.conn.SetReadDeadline(time.Time{})
	d.report(g, Relayed, waited)
	r.pass()
	d.forget(r)
	_ = r.client.Close()
	_ = r.server.Close()
}

func (d *Door) forget(r *relay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.relays, r)
}

// begin writes a relay down at the epoch at which the gate is open; false when it is not.
func (d *Door) begin(r *relay) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	epoch, open := d.gate.Open()
	if !open || d.ended {
		return false
	}
	r.epoch = epoch
	d.relays[r] = struct{}{}
	return true
}

// beginForward writes down a relay to the primary; false when clients are not forwarded any more.
func (d *Door) beginForward(r *relay) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, _ := d.gate.Forwards()
	if to == "" || d.ended {
		return false
	}
	r.forwardTo = to
	d.relays[r] = struct{}{}
	return true
}

// connect takes the connection into the relay, if mysqld still is open at the relay's epoch.
func (d *Door) connect(r *relay, server *net.TCPConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	epoch, open := d.gate.Open()
	if !open || epoch != r.epoch || d.ended {
		delete(d.relays, r)
		return false
	}
	r.server = server
	return true
}

// pass copies both ways in the kernel. A client that has said its last still gets mysqld's
// answer; when mysqld has, there is nothing left to be said to it.
func (r *relay) pass() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(r.server, r.client)
		_ = r.server.CloseWrite()
	}()
	_, _ = io.Copy(r.client, r.server)
	_ = r.client.CloseWrite()
	_ = r.client.SetReadDeadline(time.Now().Add(partLimit))
	<-done
}
