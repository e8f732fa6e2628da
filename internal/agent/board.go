package agent

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// board is what this agent says of itself, and who waits for news of it.
type board struct {
	log    logr.Logger
	self   agentapi.State // what never changes: names, UIDs, the start and the version of the agent
	config func() agentapi.Config
	from   sources // set before the board has a second reader
	poked  chan struct{}

	mu       sync.Mutex
	revision int64
	key      string
	news     chan struct{} // closed at the next revision

	begun     bool
	seen      authority.View
	ledger    *agentapi.SeenLedger
	status    *mysqlops.Status
	lookedAt  authority.Instant
	stall     judge.Stall
	tail      tailRefusal
	discarded *agentapi.Discarded
	wrong     []string // owned settings
	settings  *agentapi.RunningSettings
	libraries *agentapi.Libraries
	reception judge.Reception
	ended     pair.Incarnation // whose applier has applied all and was stopped
	// stoppedAt is when an ack fence found the receiver standing still.
	stoppedAt authority.Instant
	phase     agentapi.Phase // before the machine begins; empty after
	found     *agentapi.FoundVolume
	problems  map[agentapi.ProblemCode]*trouble
	seed      *agentapi.SeedProgress
	compared  *agentapi.Comparison
	lack      *agentapi.Lack
	// quarantine is what was measured last.
	quarantine *agentapi.QuarantineUse
	space      [2]spaceUse // by volumeKind
	accounts   []string
	inFlight   []agentapi.Session // for long, as last seen while open
	tls        bool

	waitingLost  pair.LedgerVersion
	leaseEpoch   authority.Record
	leaseAnswer  authority.Instant // newest asking that was answered; 0 for none
	passwordsRev string
	// formerAppUntil is until when the application's former password is valid; zero when it is not.
	formerAppUntil time.Time
}

type trouble struct {
	agentapi.Problem
	active bool
}

// sources are what other parts say when the state is put together. Those of the applier and of
// the drain are asked with the board's lock held, and must not ask the board in turn.
type sources struct {
	peer   func() (*agentapi.State, time.Duration)
	door   func() *agentapi.Door
	member func() memberNow
	forces func() string
	drain  func() *agentapi.Drain
}

// memberNow is the mysqld and the data of this member.
type memberNow struct {
	child    child
	lastOpen stamp
	identity volume.Identity
	busy     *maintenance
}

// noSources say nothing.
func noSources() sources {
	return sources{
		peer:   func() (*agentapi.State, time.Duration) { return nil, 0 },
		door:   func() *agentapi.Door { return &agentapi.Door{} },
		member: func() memberNow { return memberNow{} },
		forces: func() string { return "" },
		drain:  func() *agentapi.Drain { return nil },
	}
}

func newBoard(log logr.Logger, self agentapi.State, config func() agentapi.Config) *board {
	return &board{
		log:      log,
		self:     self,
		config:   config,
		from:     noSources(),
		poked:    make(chan struct{}, 1),
		news:     make(chan struct{}),
		phase:    agentapi.PhaseStarting,
		problems: map[agentapi.ProblemCode]*trouble{},
		revision: 1,
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func (b *board) poke() {
	select {
	case b.poked <- struct{}{}:
	default:
	}
}

// remember takes over what the volume knew before this process.
func (b *board) remember(f foundVolume) {
	b.mu.Lock()
	b.begun = true
	b.phase = ""
	b.found = nil
	b.ledger = f.memory.Seen
	b.seen.Durable = f.memory.Durable
	b.seen.Known = f.memory.Known
	b.seen.Serving = authority.Stopped
	b.mu.Unlock()
	b.bump()
}

// see takes the machine's view.
func (b *board) see(v authority.View) {
	b.mu.Lock()
	b.seen = v
	if r := v.Record; r != nil {
		b.ledger = b.ledger.With(agentapi.SeenLedger{
			Epoch:        r.Epoch,
			Version:      r.Ledger.Version,
			State:        string(r.Ledger.State),
			First:        r.Ledger.First,
			Incarnations: r.Ledger.Incarnations,
			Holder:       r.Holder.String(),
		})
	}
	b.mu.Unlock()
	b.bump()
}

func (b *board) view() authority.View {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

func (b *board) hasBegun() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun
}

func (b *board) seenLedger() *agentapi.SeenLedger {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger
}

func (b *board) confirmedAt() authority.Instant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen.ConfirmedAt
}

func (b *board) leaseRead(r authority.Record, outcome authority.ReadOutcome, asked authority.Instant) {
	if outcome == authority.ReadFailed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if asked > b.leaseAnswer {
		b.leaseAnswer = asked
		b.leaseEpoch = r
	}
}

// lastLease is the Lease as it was read last.
func (b *board) lastLease() authority.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leaseEpoch
}

// leaseAge is how long the API server has not answered.
func (b *board) leaseAge() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return process.Now().Sub(b.leaseAnswer)
}

// saw takes what mysqld said to a question asked at this instant, and returns it with the
// age of the oldest waiting commit as the agent knows it. An answer to an older question
// does not replace a newer one.
func (b *board) saw(s mysqlops.Status, asked authority.Instant) mysqlops.Status {
	b.mu.Lock()
	if b.status == nil || asked >= b.lookedAt {
		s.SemiSync.OldestWait = b.stall.OldestWait(s.SemiSync, asked)
		b.status = &s
		b.lookedAt = asked
	}
	b.mu.Unlock()
	b.bump()
	return s
}

// receiverStopped: at this instant it was seen that nothing is received any more. Only
// what mysqld says to a later question shows that everything received is applied.
func (b *board) receiverStopped(at authority.Instant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stoppedAt = at
}

func (b *board) forgetServer() {
	b.mu.Lock()
	b.status = nil
	b.stall = judge.Stall{}
	b.wrong = nil
	b.libraries = nil
	b.reception = judge.Reception{}
	b.mu.Unlock()
}

func (b *board) blocked(phase agentapi.Phase, code agentapi.ProblemCode, message string, found *agentapi.FoundVolume) {
	b.mu.Lock()
	b.phase = phase
	b.found = found
	b.mu.Unlock()
	b.problem(code, message)
}

func (b *board) unblocked() {
	for _, code := range []agentapi.ProblemCode{
		agentapi.ProblemVolumeInUse, agentapi.ProblemForeignVolume, agentapi.ProblemVolumeUnreadable, agentapi.ProblemVolumeFull,
		agentapi.ProblemBinlogsLost,
	} {
		b.resolve(code)
	}
}

// problem raises a problem, or counts it once more.
func (b *board) problem(code agentapi.ProblemCode, message string) {
	b.mu.Lock()
	p := b.problems[code]
	if p == nil {
		p = &trouble{Problem: agentapi.Problem{Code: code}}
		b.problems[code] = p
	}
	fresh := !p.active || p.Message != message
	p.active = true
	p.Message = message
	p.Count++
	b.mu.Unlock()
	if fresh {
		b.log.Info("problem", "reason", code, "message", message)
		b.bump()
	}
}

// resolve ends a problem.
func (b *board) resolve(code agentapi.ProblemCode) {
	b.mu.Lock()
	p := b.problems[code]
	was := p != nil && p.active
	if was {
		p.active = false
	}
	b.mu.Unlock()
	if was {
		b.log.Info("problem resolved", "reason", code)
		b.bump()
	}
}

func (b *board) progress(p *agentapi.SeedProgress) {
	b.mu.Lock()
	b.seed = p
	b.mu.Unlock()
	b.bump()
}

func (b *board) privileged(list []string) {
	b.mu.Lock()
	b.accounts = list
	b.mu.Unlock()
	b.bump()
}

func (b *board) tlsDue(due bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tls = due
}

func (b *board) isTLSDue() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tls
}

// lostSemiSync publishes that commits did not wait, under this version of the ledger.
func (b *board) lostSemiSync(v pair.LedgerVersion) {
	b.mu.Lock()
	b.waitingLost = v
	b.mu.Unlock()
	b.bump()
}

// passwords is the revision that mysqld's accounts have, as far as this agent knows.
func (b *board) passwords() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passwordsRev
}

func (b *board) hasPasswords(revision string) {
	b.mu.Lock()
	b.passwordsRev = revision
	b.mu.Unlock()
	b.bump()
}

// bump makes a new revision if something changed that a reader waits for: not ages and
// positions, which change all the time.
func (b *board) bump() {
	s := b.snapshot()
	key := keyOf(s, b.config())
	b.mu.Lock()
	defer b.mu.Unlock()
	if key == b.key {
		return
	}
	b.key = key
	b.revision++
	close(b.news)
	b.news = make(chan struct{})
}

func keyOf(s agentapi.State, config agentapi.Config) string {
	key := fmt.Sprint(s.Phase, s.KnownEpoch, s.ActedLedger, s.DataID, s.OpenEpoch, s.ReceiverStoppedAt, s.AppliedAll, s.UncleanAt,
		s.TailCommitted, s.NeedsConfirmation, s.TailUncovered, s.Ending, s.LeaseEpoch, s.Mysqld, s.PeerSilentFor > config.DeadAfter,
		s.ServerAge > config.DeadAfter, s.Found, s.ForcesRowsFor, s.SemiSyncLostAt, s.Door.Released, s.WrongSettings, s.RewindRefused, s.TailKept)
	if r := s.Server; r != nil {
		key += fmt.Sprint(r.SuperReadOnly, r.OfflineMode, r.Receiver, r.Applier, r.SourceHost, r.Waiting, r.SemiSyncClients,
			r.OldestWait > config.PassiveTimeout, r.PrivilegedAccounts, r.PasswordsRevision, len(r.InFlight),
			untilOf(r.FormerAppPasswordUntil))
	}
	if s.Settings != nil {
		key += fmt.Sprint(*s.Settings)
	}
	key += keyOfDrain(s.Drain)
	if o := s.LastOpen; o != nil {
		key += fmt.Sprint(o.Epoch, o.ClosedAge > 0)
	}
	if s.Discarded != nil {
		key += s.Discarded.Directory + s.Discarded.GTIDs
	}
	key += keyOfVolume(s)
	if s.Seed != nil {
		key += s.Seed.Stage + string(s.Seed.Donor)
	}
	for _, p := range s.Problems {
		key += string(p.Code) + p.Message
	}
	if s.Compared != nil {
		key += fmt.Sprint(*s.Compared)
	}
	if s.Libraries != nil {
		key += fmt.Sprint(*s.Libraries)
	}
	if s.Ledger != nil {
		key += fmt.Sprint(*s.Ledger)
	}
	if s.Lacks != nil {
		key += fmt.Sprint(*s.Lacks)
	}
	return key
}

// uncleanAt is the epoch of an unclean end, not of being open now.
func uncleanAt(v authority.View) pair.Epoch {
	switch v.Serving {
	case authority.Stopped:
		return v.Durable.OpenAt
	case authority.Booting, authority.Shut, authority.Ending:
		if v.Durable.TailCommitted {
			return v.Durable.OpenAt
		}
	case authority.Opening, authority.Serves, authority.Closing, authority.Killing:
	}
	return 0
}

// wait returns once the revision is another than since, or limit is over.
func (b *board) wait(done <-chan struct{}, since int64, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		b.mu.Lock()
		news := b.news
		revision := b.revision
		b.mu.Unlock()
		if revision != since {
			return
		}
		select {
		case <-news:
		case <-timer.C:
			return
		case <-done:
			return
		}
	}
}
