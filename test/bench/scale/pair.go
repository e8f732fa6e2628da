package main

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// standIn plays the two members of one pair: two agents that speak the whole of their API with the operator, with mysqlds that
// take no time for anything and always hold the same transactions. It follows the Lease by a watch that all pairs share, where
// real agents read it themselves, so that only the operator's requests load the API server.
type standIn struct {
	name types.NamespacedName

	mu      sync.Mutex
	uid     pair.UID
	record  authority.Record
	members [2]*member
	// changed is closed when something of the pair has changed.
	changed chan struct{}
	// opened and led are when a member was opened, and when the Service led to its mysqld, last.
	opened, led [2]time.Time
	// route is where the Service leads.
	route failover.Service
}

// member is one of the two. What is here is guarded by its pair.
type member struct {
	of      *standIn
	ordinal pair.Ordinal
	address string
	node    string

	pod      pair.PodUID
	start    pair.AgentStart
	revision int64
	// data and running are of the volume and of mysqld; exits are those of this agent.
	data        pair.DataID
	running     bool
	incarnation pair.Incarnation
	exits       int

	known   pair.Epoch
	acted   pair.LedgerVersion
	opened  pair.Epoch
	stopped pair.Epoch // the receiver, by an ack fence
	// lostAt is when the member's node died; zero while it lives.
	lostAt time.Time
}

// transactions are those of every member.
const transactions = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-1000"

func newStandIn(name types.NamespacedName, place func(pair.Ordinal) (address, node string)) *standIn {
	p := &standIn{name: name, changed: make(chan struct{})}
	for _, o := range []pair.Ordinal{0, 1} {
		m := &member{of: p, ordinal: o}
		m.address, m.node = place(o)
		p.members[o] = m
	}
	return p
}

func (m *member) name() pair.MemberName { return m.ordinal.Member(m.of.name.Name) }

func (m *member) peer() *member { return m.of.members[m.ordinal.Peer()] }

func (m *member) host() string {
	return resources.Names{Pair: m.of.name.Name, Namespace: m.of.name.Namespace}.Host(m.ordinal)
}

// news tells everybody who waits for a change; with the pair locked.
func (p *standIn) news() {
	for _, m := range p.members {
		m.revision++
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// began is a new pod of the member, on the same volume.
func (p *standIn) began(o pair.Ordinal, owner pair.UID, pod pair.PodUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.members[o]
	if m.pod == pod {
		return
	}
	p.uid = owner
	m.pod = pod
	m.start = pair.AgentStart(uuid.NewUUID())
	m.exits = 0
	m.opened = 0
	m.stopped = 0
	m.startMysqld(m.data)
	m.follow()
	p.news()
}

func (m *member) startMysqld(data pair.DataID) {
	m.data = data
	m.running = data != ""
	if m.running {
		m.incarnation = pair.Incarnation(uuid.NewUUID())
	}
}

// read is the Lease as it is now.
func (p *standIn) read(r authority.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = r
	for _, m := range p.members {
		m.follow()
	}
	p.news()
}

// follow has the member do what the Lease says, if it lives.
func (m *member) follow() {
	r := m.of.record
	if r.PairUID == "" || !m.lostAt.IsZero() {
		return
	}
	m.known = max(m.known, r.Epoch)
	m.acted = r.Ledger.Version
	mine := r.Holder == pair.Holder{Member: m.name(), PodUID: m.pod}
	switch {
	case !mine:
		m.opened = 0
		if r.Epoch > m.stopped && !r.Holder.Nobody() {
			m.stopped = 0
		}
	case m.running && m.opened != r.Epoch:
		m.opened = r.Epoch
		m.stopped = 0
		m.of.opened[m.ordinal] = time.Now()
	}
}

// routed is where the Service leads now.
func (p *standIn) routed(s failover.Service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.route
	p.route = s
	if s.Leads != failover.LeadsOpen || (before.Leads == s.Leads && before.Epoch == s.Epoch) {
		return
	}
	for _, m := range p.members {
		if s.Member == m.name() {
			p.led[m.ordinal] = time.Now()
		}
	}
}

// streams: the member receives from its peer and acknowledges.
func (m *member) streams() bool {
	from := m.peer()
	return m.running && m.opened == 0 && m.stopped == 0 && from.opened > 0 && m.lostAt.IsZero() && from.lostAt.IsZero()
}

// state is what the member's agent says; with the pair locked.
func (m *member) state() agentapi.State {
	p := m.of
	s := agentapi.State{
		Revision:          m.revision,
		PairUID:           p.uid,
		Member:            m.name(),
		PodUID:            m.pod,
		AgentStart:        m.start,
		AgentVersion:      version,
		KnownEpoch:        m.known,
		ActedLedger:       m.acted,
		DataID:            m.data,
		Phase:             m.phase(),
		OpenEpoch:         m.opened,
		ReceiverStoppedAt: m.stopped,
		AppliedAll:        m.stopped > 0,
		LeaseEpoch:        p.record.Epoch,
		LeaseReadAge:      500 * time.Millisecond,
		ConfirmationAge:   500 * time.Millisecond,
		Door:              &agentapi.Door{CanForward: true},
		Mysqld: agentapi.Mysqld{
			Running:     m.running,
			Incarnation: m.incarnation,
			Exits:       m.exits,
			Version:     "9.7.0",
		},
	}
	if since := m.peer().lostAt; !since.IsZero() {
		s.PeerSilentFor = time.Since(since)
	}
	switch {
	case m.running:
		s.Server = m.server()
	case m.data != "":
		s.Mysqld.Incarnation = ""
		s.Mysqld.LastExit = "signal killed"
		s.UncleanAt = m.known
	}
	return s
}

func (m *member) phase() agentapi.Phase {
	switch {
	case m.data == "":
		return agentapi.PhaseEmpty
	case !m.running:
		return agentapi.PhaseHeld
	case m.opened > 0:
		return agentapi.PhaseOpen
	}
	return agentapi.PhaseClosed
}

func (m *member) server() *agentapi.Server {
	open := m.opened > 0
	s := &agentapi.Server{
		ServerUUID:    fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", m.ordinal),
		SuperReadOnly: !open,
		ReadOnly:      !open,
		OfflineMode:   !open,
		GTIDExecuted:  transactions,
		GTIDReceived:  transactions,
		BinlogGTIDs:   transactions,
		Applier:       agentapi.ChannelThread{Running: !open},
	}
	if open {
		s.Waiting = m.of.record.Ledger.MustWait(m.name())
		if m.peer().streams() {
			s.SemiSyncClients = 1
		}
		return s
	}
	s.SourceHost = m.peer().host()
	s.Receiver.Running = m.streams()
	s.ReplicaSemiSync = m.streams()
	return s
}

// primary is the open member; nil for none.
func (p *standIn) primary() *member {
	for _, m := range p.members {
		if m.opened > 0 && m.lostAt.IsZero() {
			return m
		}
	}
	return nil
}

// killMysqld ends the primary's mysqld and returns when, and who may take over.
func (p *standIn) killMysqld() (at time.Time, candidate pair.Ordinal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.primary()
	m.running = false
	m.opened = 0
	m.exits++
	p.news()
	return time.Now(), m.ordinal.Peer()
}

// loseNode has the primary not answer any more, nor its peer hear of it.
func (p *standIn) loseNode() (at time.Time, candidate pair.Ordinal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.primary()
	m.lostAt = time.Now()
	p.news()
	return m.lostAt, m.ordinal.Peer()
}

// serves is when the member was opened after a moment and the Service leads to it; false while either is missing.
func (p *standIn) serves(o pair.Ordinal, after time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	opened := p.opened[o]
	led := p.led[o]
	if led.After(opened) {
		return led, opened.After(after)
	}
	return opened, opened.After(after) && led.After(after)
}
