package door

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// Mode is how clients are answered while no member accepts writes.
type Mode string

// The modes.
const (
	// Hold keeps clients waiting for a bounded time and relays them to mysqld when it is open.
	Hold Mode = "Hold"
	// Error answers with a MySQL error packet.
	Error Mode = "Error"
	// Reset answers with a TCP reset.
	Reset Mode = "Reset"
)

// Policy is what a pair's spec says about the door. The zero value is that of Error.
type Policy struct {
	Mode Mode
	// HoldTimeout is how long after the begin of a change of roles clients are held.
	HoldTimeout time.Duration
	// MaxHeld is how many clients are held at once.
	MaxHeld int
}

// Answer is what becomes of a client.
type Answer string

// The answers.
const (
	// Relay connects the client to this member's mysqld.
	Relay Answer = "Relay"
	// Forward connects the client to the mysqld that Forwards names, the primary's.
	Forward Answer = "Forward"
	// Wait keeps the client without an answer until the gate changes or its time is over.
	Wait Answer = "Wait"
	// RefuseClosed turns the client away: no mysqld is open here, or the door was not released,
	// and nothing says that this ends soon.
	RefuseClosed Answer = "RefuseClosed"
	// RefuseFull turns the client away because MaxHeld others are held.
	RefuseFull Answer = "RefuseFull"
)

// Gate decides what becomes of a client. It reads no clock and does nothing itself; the
// simulator runs the same one as the agent. Not safe for concurrent use.
type Gate struct {
	self   pair.MemberName
	policy Policy

	open     pair.Epoch // at which this member's mysqld is open; 0 while it is not
	released pair.Epoch // at which the operator lets clients through
	until    authority.Instant
	begun    pair.Epoch // highest epoch known when the change of roles began
	changing bool
	renewed  authority.Instant // when the change of roles was last asked for
	// forwardTo is where clients are relayed before a planned change of roles; empty for nowhere.
	forwardTo   string
	forwardAt   pair.Epoch // highest epoch known at that moment
	forwardFrom authority.Instant
	// settled: a holder was known since the process began. A process that has just started
	// knows of no change of roles, and one that starts over and over must not hold clients
	// each time.
	settled bool
}

// forgottenAfter is when a planned change of roles that no operator asks for any more was given
// up, while the former holder is still named: more than three times what is between two
// requests. Else the next change of roles would find its time of holding over.
const forgottenAfter = 20 * time.Second

// NewGate is the gate of a member whose agent has just started: it refuses.
func NewGate(self pair.MemberName) Gate { return Gate{self: self} }

// Configure takes up the spec. A time of holding that has begun stays as it is.
func (g *Gate) Configure(p Policy) { g.policy = p }

// Follow takes what the agent's machine takes for true after each of its steps. It reports
// whether mysqld was open before and is not open at that epoch any more.
func (g *Gate) Follow(v authority.View, now authority.Instant) (closed bool) {
	open := pair.Epoch(0)
	if v.Serving == authority.Serves {
		open = v.OpenEpoch
	}
	closed = g.open != 0 && g.open != open
	g.open = open
	if v.Durable.Known > g.forwardAt {
		g.forwardTo = ""
	}
	named := v.HolderRead && !v.Holder.Nobody()
	elsewhere := named && v.Holder.Member != g.self
	switch {
	case elsewhere && (!g.changing || v.Durable.Known > g.begun || now >= g.renewed.Add(forgottenAfter)):
		// Clients are served there, and nothing ends the waiting here.
		g.settled = true
		g.changing = false
		g.until = 0
	case elsewhere:
	case named && open != 0:
		g.settled = true
		g.changing = false
	case g.settled:
		g.Begin(v.Durable.Known, now)
	}
	return closed
}

// Begin begins the time of holding, unless that of the same change of roles has begun: once
// for all clients. known is the highest epoch known at this instant; at it the member that
// is still the holder may be named without that the change counts as over, for as long as the
// change is asked for.
func (g *Gate) Begin(known pair.Epoch, now authority.Instant) {
	g.renewed = now
	g.forwardTo = ""
	if g.changing {
		return
	}
	g.changing, g.begun, g.until = true, known, now.Add(g.policy.HoldTimeout)
}

// Forward relays clients to the mysqld at an address, the primary's, which a planned change of
// roles is about to drain: from then until the change begins every node leads new clients to
// this door, and none of them waits. It ends with Begin, with Cancel, and with a newer epoch.
func (g *Gate) Forward(address string, known pair.Epoch, now authority.Instant) {
	if g.forwardTo == address && g.forwardAt == known {
		return
	}
	g.Cancel()
	g.forwardTo = address
	g.forwardAt = known
	g.forwardFrom = now
}

// Forwards is where clients are relayed before a planned change of roles, and since when;
// empty for nowhere.
func (g *Gate) Forwards() (address string, since authority.Instant) {
	return g.forwardTo, g.forwardFrom
}

// Cancel ends a change of roles that was given up before the authority was changed.
func (g *Gate) Cancel() {
	g.forwardTo = ""
	g.changing = false
	g.until = 0
}

// Release lets clients through to the mysqld that is open at this epoch, now or later. The
// operator says so when the pod that clients were led to before is being deleted, or
// stays and is shown to be closed.
func (g *Gate) Release(e pair.Epoch) { g.released = max(g.released, e) }

// Released is the newest epoch at which clients are let through.
func (g *Gate) Released() pair.Epoch { return g.released }

// Until is when the time of holding is over.
func (g *Gate) Until() authority.Instant { return g.until }

// Open reports whether a client may be relayed, and at which epoch.
func (g *Gate) Open() (pair.Epoch, bool) {
	return g.open, g.policy.Mode == Hold && g.open != 0 && g.released == g.open
}

// Ask says what becomes of a client at an instant, while so many others are held.
func (g *Gate) Ask(now authority.Instant, others int) Answer {
	switch _, open := g.Open(); {
	case open:
		return Relay
	case g.policy.Mode == Hold && g.forwardTo != "":
		return Forward
	case g.policy.Mode != Hold || now >= g.until:
		return RefuseClosed
	case others >= g.policy.MaxHeld:
		return RefuseFull
	}
	return Wait
}
