package authority

import (
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// Instant is a reading of CLOCK_BOOTTIME: the time since the machine was booted, the
// time it slept included. Go's own monotonic clock stands still meanwhile.
type Instant time.Duration

// Add is the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub is the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// Config is set once, when a Machine is made. Zero durations take the defaults named.
type Config struct {
	// PairUID is the pair that is served. A record of another pair is not read.
	PairUID pair.UID
	// Self is this member in this pod.
	Self pair.Holder
	// Peer is the other member.
	Peer pair.MemberName
	// T is how long a confirmation counts, from before it was asked for, until a Lease was
	// read: from then on its T counts, with which the operator counts the end.
	T time.Duration
	// Margin is what a holder that nobody appointed waits beyond T.
	Margin time.Duration
	// SoftLead is how long before the end of T the soft fence begins. Default T/5.
	SoftLead time.Duration
	// KillLead is how long before the end of T mysqld is killed, by agent and deadman
	// alike, so that it is gone by T. Default T/50, at least 20ms.
	KillLead time.Duration
	// LeaseEvery is the time between two readings of the Lease while the peer vouches
	// or nothing is wanted. Default 10s; it varies by a quarter.
	LeaseEvery time.Duration
	// RestartInPlaceAfter is how long a crashed primary waits for a failover before its
	// mysqld is started again where it is. Default 10s.
	RestartInPlaceAfter time.Duration
	// StopTime is what a clean end of mysqld may take of the grace period. Default 5s.
	StopTime time.Duration
	// Linger is how long the agent stays after mysqld has ended, when it was asked to end:
	// clients that are still led here are refused at once as long as the pod has its
	// address, and wait for an answer that never comes when it has not. A holder does not
	// stay: its next process is what clients wait for. Default none.
	Linger time.Duration
	// Moved: another machine wrote to the volume last. A process there may live on without the
	// volume and confirm for BeatMost, so this one acknowledges no cease before that has passed.
	Moved bool
	// Seed of the variation of LeaseEvery.
	Seed uint64
	// Start names this process; no other of the pair has the same.
	Start pair.AgentStart
	// Verify tells a signature of the pair's certificate authority. Epochs that the peer
	// names count only with one.
	Verify Verify
}

func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.SoftLead:            c.T / 5,
		&c.KillLead:            max(c.T/50, 20*time.Millisecond),
		&c.LeaseEvery:          10 * time.Second,
		&c.RestartInPlaceAfter: 10 * time.Second,
		&c.StopTime:            5 * time.Second,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	return c
}

// pace is the time between two questions for a confirmation, and the time one may take.
func (c Config) pace() time.Duration { return c.T / 4 }

// Durable is what a machine must find again after a crash. It is comparable; the zero
// value is that of an empty volume.
type Durable struct {
	// DataID is the data it belongs to.
	DataID pair.DataID `json:"dataID"`
	// Known is the highest epoch known.
	Known pair.Epoch `json:"known"`
	// Holder at Known, if HolderRead; an epoch learned from a command has no holder yet.
	Holder     pair.Holder `json:"holder"`
	HolderRead bool        `json:"holderRead"`
	// Ceased is the highest epoch that a command asked to cease: nothing opens at it or
	// below.
	Ceased pair.Epoch `json:"ceased"`
	// Ledger is the highest ledger version seen.
	Ledger pair.LedgerVersion `json:"ledger"`
	// OpenAt is the epoch at which this data is or was open without a proven close
	// since; zero for none.
	OpenAt pair.Epoch `json:"openAt"`
	// TailCommitted: what is beyond the peer's binlog may be committed, so that it cannot be cut
	// off. A mysqld was started on a volume with OpenAt set, and its recovery has committed
	// whatever was waiting; or commits did not wait, by an external change.
	TailCommitted bool `json:"tailCommitted"`
	// ReceiverStopped is the epoch of the ack fence; zero for none.
	ReceiverStopped pair.Epoch `json:"receiverStopped"`
	// Signed shows others that Known exists, when it is about Known.
	Signed pair.SignedEpoch `json:"signed,omitzero"`
}

// repaired is the content without numbers that no pair can have, and whether there were
// any. Of such a file nothing is believed that would let this member do something: it does
// not know its epoch, its tail may be committed, and what it received may be incomplete.
func (d Durable) repaired() (Durable, bool) {
	valid := d.Known.Valid() && d.Ceased.Valid() && d.Ledger.Valid() && d.OpenAt.Valid() && d.ReceiverStopped.Valid()
	if valid {
		return d, false
	}
	out := Durable{DataID: d.DataID}
	if d.OpenAt != 0 {
		// The smallest epoch at which a member can have been open: that it was unclean counts.
		out.OpenAt = 1
		out.TailCommitted = true
	}
	return out, true
}

// Serving is what the machine takes its mysqld for.
type Serving string

// The states of serving.
const (
	Stopped Serving = "Stopped" // no mysqld
	Booting Serving = "Booting" // started, boots closed, has not been verified
	Shut    Serving = "Shut"    // verified closed for writes
	Opening Serving = "Opening" // an Open is under way; counts as open
	Serves  Serving = "Serves"  // open
	Closing Serving = "Closing" // a Close is under way; counts as open
	Killing Serving = "Killing" // killed, the end not yet seen; counts as open
	Ending  Serving = "Ending"  // verified closed and asked to end
)

// mayWrite reports whether a client could possibly be writing.
func (s Serving) mayWrite() bool {
	return s == Opening || s == Serves || s == Closing || s == Killing
}

// leads are times before the end of T.
type leads struct{ soft, kill time.Duration }

// Machine decides whether this agent's mysqld may run and be open. It takes events
// with their instants and answers with actions. It reads no clock and does nothing
// itself. Not safe for concurrent use.
//
// The caller gives every action its effect and reports results as events. It feeds a
// Tick no later than NextWake says; an event with an instant before the last one counts
// as happening now.
type Machine struct {
	cfg   Config
	leads leads         // SoftLead and KillLead as configured, zero for what follows from T
	most  time.Duration // the longest T known
	now   Instant
	start Instant

	want      Durable // in memory
	have      Durable // on the volume
	persist   int     // sequence number of the newest Persist
	inFlight  Durable
	persisted bool // no Persist is in flight

	data      bool // the volume holds data of this pair
	damaged   bool // the epoch file held numbers that no pair has, and nothing was read since
	epochFile bool // its epoch file was readable, or made by this process

	rec         *Record // newest read at Known, by this process
	recAsked    Instant
	readEver    bool
	confirmUpTo pair.Epoch // at epochs up to this one it opens only with its peer's confirmation
	knownAt     Instant    // when Known was learned
	namedAt     Instant    // when this process first read that it is the holder at Known
	beatAt      Instant    // when the volume was seen to take a write last; 0 for never
	vouchedAt   Instant    // when it confirmed last
	confirm     confirmation
	ask         asking
	serving     Serving
	run         run
	pending     []command
	following   pair.Epoch // epoch of the last Follow
	deadman     Instant
	ending      bool
	endingAt    Instant
	missing     bool // the Lease, when it was last read
	until       Instant
	rng         uint64
	out         []Action
}

// run is one run of mysqld.
type run struct {
	incarnation    pair.Incarnation
	tail           bool // its recovery committed a tail nobody may have acknowledged
	tailCovered    bool
	lost           pair.LedgerVersion // acted on when commits were last found not to have waited
	openEpoch      pair.Epoch
	acted          pair.LedgerVersion
	waiting        bool
	asked          pair.LedgerVersion // version of the SetSemiSync under way
	askedWaiting   bool
	closeBy        Instant
	closeIsRoutine bool    // the close under way is of a member that was shut before
	unproven       int     // mild closes in a row that were not proven
	ended          Instant // when the last run ended, or the process started
	proved         bool    // closed since the newest fence, re-read after the fact
	retry          Instant // no Open, Start, CheckTail before
	failures       int
	receiverOff    bool
	killed         Instant
	marked         bool // TailCommitted was set for a start that has not happened
}

// NewMachine makes the machine of an agent process that starts at an instant with what
// it found on its volume. It has asked for nothing yet; feed a Tick.
func NewMachine(cfg Config, found Durable, at Instant) *Machine {
	found, damaged := found.repaired()
	m := &Machine{
		damaged:     damaged,
		cfg:         cfg.withDefaults(),
		leads:       leads{cfg.SoftLead, cfg.KillLead},
		most:        cfg.T,
		now:         at,
		start:       at,
		want:        found,
		have:        found,
		inFlight:    found,
		persisted:   true,
		serving:     Stopped,
		confirmUpTo: found.Known,
		rng:         cfg.Seed | 1,
	}
	m.run.ended = at
	m.confirm.lapsed = at
	return m
}

// View is what the machine takes for true, for logs, metrics and State.
type View struct {
	Serving Serving
	// Known, as on the volume.
	Known pair.Epoch
	// Durable is all that is on the volume.
	Durable Durable
	// OpenEpoch while open.
	OpenEpoch pair.Epoch
	// ActedLedger is the ledger version acted on and on the volume.
	ActedLedger pair.LedgerVersion
	// Waiting: an open member's commits wait.
	Waiting bool
	// Confirmed: ConfirmedAt counts. It is the instant before the last confirmation
	// was asked for.
	Confirmed   bool
	ConfirmedAt Instant
	// Holder by the newest record; HolderRead is false before the first reading.
	Holder     pair.Holder
	HolderRead bool
	// Record is the newest one accepted; nil before. Not to be changed.
	Record *Record
	// Held: mysqld is not started because it is not known who the holder is.
	Held bool
	// TailUncovered: closed until the peer has the whole binlog.
	TailUncovered bool
	// NeedsConfirmation: this member is the holder, but its confirmation lapsed or its process
	// is new at an epoch known before: it opens only with the peer's word, or at a new
	// epoch.
	NeedsConfirmation bool
	// Data: the volume holds data that may be served.
	Data bool
	// Ending: asked to end by SIGTERM; EndsAt is when the process will be killed.
	Ending bool
	EndsAt Instant
	// LeaseDuration is the T that counts now.
	LeaseDuration time.Duration
}

// View returns what the machine takes for true now.
func (m *Machine) View() View {
	v := View{
		Serving:           m.serving,
		LeaseDuration:     m.cfg.T,
		Known:             m.have.Known,
		Durable:           m.have,
		Waiting:           m.run.waiting,
		ActedLedger:       min(m.have.Ledger, m.acted()),
		Confirmed:         m.confirm.valid,
		ConfirmedAt:       m.confirm.at,
		Holder:            m.want.Holder,
		HolderRead:        m.want.HolderRead,
		Record:            m.rec,
		Held:              m.data && m.serving == Stopped && m.want.OpenAt != 0 && !m.mayStart(),
		TailUncovered:     m.serving == Shut && m.tailBlocks(),
		NeedsConfirmation: m.isHolder() && !m.serving.mayWrite() && !m.confirm.fresh && !m.confirm.word,
		Ending:            m.ending,
		EndsAt:            m.until,
		Data:              m.data,
	}
	if m.serving.mayWrite() {
		v.OpenEpoch = m.run.openEpoch
	}
	return v
}

// acted is the ledger version acted on: an open member's is that of its waiting.
func (m *Machine) acted() pair.LedgerVersion {
	if m.serving.mayWrite() {
		return m.run.acted
	}
	return m.want.Ledger
}

// NextWake is when the machine wants a Tick at the latest.
func (m *Machine) NextWake() Instant {
	wake := m.now.Add(m.cfg.pace() / 4)
	for _, at := range []Instant{m.killAt(), m.softAt(), m.run.closeBy} {
		if at > m.now && at < wake {
			wake = at
		}
	}
	return wake
}
