package door

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// Outcome is how the holding of a client ended.
type Outcome string

// The outcomes.
const (
	Relayed           Outcome = "relayed"
	RefusedTimeout    Outcome = "refused_timeout"
	RefusedMaxHeld    Outcome = "refused_max_held" // not held at all
	ClientGone        Outcome = "gone"             // the client hung up
	ClientSpeaks      Outcome = "not_mysql"        // the client sent something before the server's greeting
	MysqldUnreachable Outcome = "unreachable"      // mysqld was open and took no connection
)

// Outcomes lists every one.
var Outcomes = []Outcome{Relayed, RefusedTimeout, RefusedMaxHeld, ClientGone, ClientSpeaks, MysqldUnreachable}

// Config is what a door needs. All fields are required but Report.
type Config struct {
	// Self is the member that the door belongs to.
	Self pair.MemberName
	// Message is the text of the error packet.
	Message string
	// Now reads the clock of the instants that Follow and Begin are given.
	Now func() authority.Instant
	// Dial connects to this member's mysqld.
	Dial func(context.Context) (*net.TCPConn, error)
	// DialForward connects to the mysqld at an address that Forward was given.
	DialForward func(context.Context, string) (*net.TCPConn, error)
	// Report is called once for each client that was held, or would have been but for MaxHeld,
	// with how long it was held. It must not block.
	Report func(Outcome, time.Duration)
}

// Door holds, relays and refuses clients. All methods are safe for concurrent use; none but
// Serve and Close blocks.
type Door struct {
	// Refused counts the clients turned away.
	Refused atomic.Int64

	cfg    Config
	packet []byte
	slots  chan struct{}
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows; closing the gate takes it, and so does letting a client through
	gate    Gate
	reset   bool
	held    map[*guest]struct{}
	relays  map[*relay]struct{}
	longest time.Duration // of the newest change of roles
	waited  int           // clients that were held during it and are not any more
	ended   bool
}

// New returns a door that refuses every client until Follow, Release and Configure say otherwise.
func New(cfg Config) *Door {
	return &Door{
		cfg:    cfg,
		packet: errorPacket(cfg.Message),
		slots:  make(chan struct{}, lingers),
		gate:   NewGate(cfg.Self),
		held:   map[*guest]struct{}{},
		relays: map[*relay]struct{}{},
	}
}

// Configure takes up the spec.
func (d *Door) Configure(p Policy) {
	d.change(func(g *Gate) {
		g.Configure(p)
		d.reset = p.Mode == Reset
	})
}

// Follow takes what the agent's machine takes for true. When mysqld is not open any more it
// gives the relays closeLimit to deliver what mysqld has said last.
func (d *Door) Follow(v authority.View) {
	d.change(func(g *Gate) {
		if g.Follow(v, d.cfg.Now()) {
			d.endRelays()
		}
	})
}

// Begin begins the time of holding of a planned change of roles.
func (d *Door) Begin(known pair.Epoch) {
	d.change(func(g *Gate) { g.Begin(known, d.cfg.Now()) })
}

// Forward relays clients to the mysqld at an address until a change of roles begins (Gate.Forward).
func (d *Door) Forward(address string, known pair.Epoch) {
	d.change(func(g *Gate) { g.Forward(address, known, d.cfg.Now()) })
}

// Cancel ends the time of holding of one that was given up.
func (d *Door) Cancel() { d.change((*Gate).Cancel) }

// Release lets clients through to the mysqld that is open at this epoch, now or later.
func (d *Door) Release(e pair.Epoch) { d.change(func(g *Gate) { g.Release(e) }) }

// State is what the door does now.
type State struct {
	// Released is the newest epoch at which clients are let through.
	Released pair.Epoch
	// Held and Relayed are clients now.
	Held, Relayed int
	// Longest is the longest time that a client was held during the newest change of roles, and
	// Waited is how many were, those who are held now included.
	Longest time.Duration
	Waited  int
	// ForwardedFor is for how long clients have been relayed to the primary; 0 when they are not.
	ForwardedFor time.Duration
}

// State returns what the door does now.
func (d *Door) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := State{
		Released: d.gate.Released(),
		Held:     len(d.held),
		Relayed:  len(d.relays),
		Longest:  d.longest,
		Waited:   d.waited + len(d.held),
	}
	now := d.cfg.Now()
	if address, since := d.gate.Forwards(); address != "" {
		s.ForwardedFor = max(now.Sub(since), 1)
	}
	for g := range d.held {
		s.Longest = max(s.Longest, now.Sub(g.since))
	}
	return s
}

// Serve takes clients until the listener is closed.
func (d *Door) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of descriptors or the client was faster: neither ends the door.
			time.Sleep(5 * time.Millisecond)
			continue
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		d.admit(tcp)
	}
}

// Close turns away who is held, cuts what is relayed and waits for the end of all of it. The
// listener is the caller's to close, and before this.
func (d *Door) Close() {
	d.change(func(*Gate) {
		d.ended = true
		for r := range d.relays {
			r.cut()
		}
	})
	d.work.Wait()
}

// change changes the gate and has everyone who is held ask again. The lock is the one under
// which a client is let through: once a change that closes the gate has returned, none is.
func (d *Door) change(f func(*Gate)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.gate.Until()
	f(&d.gate)
	if d.gate.Until() > before {
		d.longest = 0
		d.waited = 0
	}
	for g := range d.held {
		g.wake()
	}
}

// ask says what becomes of a client and writes it down. Called with the lock held.
func (d *Door) ask(g *guest) Answer {
	_, waits := d.held[g]
	others := len(d.held)
	if waits {
		others--
	}
	answer := RefuseClosed
	if !d.ended {
		answer = d.gate.Ask(d.cfg.Now(), others)
	}
	if answer == Wait {
		d.held[g] = struct{}{}
		g.waitFor(d.gate.Until().Sub(d.cfg.Now()))
	} else {
		delete(d.held, g)
	}
	return answer
}

func (d *Door) askAgain(g *guest) Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ask(g)
}

// admit decides about a client that has just come. Only clients that are held or relayed get
// a goroutine.
func (d *Door) admit(conn *net.TCPConn) {
	g := &guest{conn: conn, since: d.cfg.Now()}
	d.mu.Lock()
	answer := d.ask(g)
	if answer == Wait || answer == Relay || answer == Forward {
		d.work.Add(1)
	}
	d.mu.Unlock()
	switch answer {
	case Wait, Relay, Forward:
		go func() {
			defer d.work.Done()
			d.attend(g, answer)
		}()
	case RefuseFull:
		d.report(g, RefusedMaxHeld, false)
		d.refuse(conn)
	case RefuseClosed:
		d.refuse(conn)
	}
}

// attend stays with a client until it is relayed, refused or gone.
func (d *Door) attend(g *guest, answer Answer) {
	waited := false
	for {
		switch answer {
		case Wait:
			waited = true
			if outcome, ended := g.await(); ended {
				d.leave(g, outcome)
				return
			}
			answer = d.askAgain(g)
		case Relay:
			if d.relay(g, waited) {
				return
			}
			answer = d.askAgain(g)
		case Forward:
			if d.forward(g, waited) {
				return
			}
			answer = d.askAgain(g)
		case RefuseClosed, RefuseFull:
			d.report(g, RefusedTimeout, true)
			d.refuse(g.conn)
			return
		}
	}
}

// leave is the end of a held client that did not wait for its answer.
func (d *Door) leave(g *guest, outcome Outcome) {
	d.mu.Lock()
	delete(d.held, g)
	d.mu.Unlock()
	d.report(g, outcome, true)
	if outcome == ClientSpeaks {
		d.refuse(g.conn)
		return
	}
	_ = g.conn.Close()
}

func (d *Door) report(g *guest, outcome Outcome, waited bool) {
	var took time.Duration
	if waited {
		took = d.cfg.Now().Sub(g.since)
		d.mu.Lock()
		d.longest = max(d.longest, took)
		d.waited++
		d.mu.Unlock()
	}
	if d.cfg.Report != nil {
		d.cfg.Report(outcome, took)
	}
}
