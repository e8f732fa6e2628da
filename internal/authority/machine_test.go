package authority

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

const testT = 4 * time.Second

// rig drives a machine by hand: it remembers actions by kind and writes at once what is
// to be persisted, unless told otherwise.
type rig struct {
	t      *testing.T
	m      *Machine
	now    Instant
	log    []Action
	noSync bool
	disk   Durable
	seq    int
}

var (
	me   = pair.Holder{Member: "shop-0", PodUID: "uid-0"}
	them = pair.Holder{Member: "shop-1", PodUID: "uid-1"}
)

func testConfig() Config {
	return Config{
		PairUID:             "pair",
		Self:                me,
		Peer:                "shop-1",
		T:                   testT,
		RestartInPlaceAfter: 3 * time.Second,
		Verify:              verifyTest,
	}
}

// verifyTest and signedAt stand for the pair's key: a signature is the hash of what it is of.
func verifyTest(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	return bytes.Equal(sum[:], signature)
}

func signedAt(e pair.Epoch, holder pair.Holder, v pair.LedgerVersion) pair.SignedEpoch {
	s := pair.SignedEpoch{
		Epoch:  e,
		Holder: holder,
		Ledger: v,
		Digest: "d",
	}
	sum := sha256.Sum256(s.Message("pair"))
	s.Signature = base64.StdEncoding.EncodeToString(sum[:])
	return s
}

func newRig(t *testing.T, found Durable) *rig {
	t.Helper()
	r := &rig{t: t, now: Instant(time.Hour), disk: found}
	r.m = NewMachine(testConfig(), found, r.now)
	return r
}

// step feeds an event and carries out Persist and StartMysqld, StopReceiver at once.
func (r *rig) step(e Event) []Action {
	out := r.m.Step(e)
	r.log = append(r.log, out...)
	for _, a := range out {
		if p, ok := a.(Persist); ok && !r.noSync {
			r.disk = p.Durable
			out = append(out, r.step(Persisted{At: r.now, Seq: p.Seq, OK: true})...)
		}
	}
	return out
}

func (r *rig) after(d time.Duration) []Action {
	r.now = r.now.Add(d)
	return append(r.beat(), r.step(Tick{At: r.now})...)
}

// beat is a write that the volume took.
func (r *rig) beat() []Action { return r.step(VolumeBeat{At: r.now, Begun: r.now}) }

func (r *rig) read(rec Record) []Action {
	return r.step(LeaseRead{
		AskedAt: r.now,
		At:      r.now,
		Outcome: ReadFound,
		Record:  rec,
	})
}

// word answers the newest question to the peer, or the next one.
func (r *rig) word(e pair.Epoch) []Action { return r.step(r.answer(e, "data-1")) }

func (r *rig) answer(e pair.Epoch, data pair.DataID) VouchAnswered {
	r.t.Helper()
	for range 20 {
		if n := len(r.m.ask.vouches); n > 0 {
			return VouchAnswered{
				At:       r.now,
				Nonce:    r.m.ask.vouches[n-1].nonce,
				Epoch:    e,
				Answered: true,
				Given:    true,
				Data:     data,
				Known:    e,
				Holder:   me,
			}
		}
		r.after(testT / 16)
	}
	r.t.Fatal("the peer is not asked")
	return VouchAnswered{}
}

func (r *rig) order(kind CommandKind, e pair.Epoch, v pair.LedgerVersion) []Action {
	r.seq++
	return r.step(Commanded{
		At:      r.now,
		ID:      fmt.Sprint(r.seq),
		Kind:    kind,
		PairUID: "pair",
		Epoch:   e,
		Ledger:  v,
	})
}

// boot has the data ready and mysqld up.
func (r *rig) boot() {
	r.beat()
	r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true})
	r.up()
}

func (r *rig) up() {
	r.t.Helper()
	if r.m.serving != Booting {
		r.t.Fatalf("mysqld was not started: %s", r.m.serving)
	}
	r.seq++
	r.step(MysqldUp{At: r.now, Incarnation: pair.Incarnation(fmt.Sprint("inc-", r.seq))})
}

func has[A Action](actions []Action) (A, bool) {
	for _, a := range actions {
		if one, ok := a.(A); ok {
			return one, true
		}
	}
	var none A
	return none, false
}

func must[A Action](t *testing.T, why string, actions []Action) A {
	t.Helper()
	a, ok := has[A](actions)
	if !ok {
		t.Fatalf("%s: no %T in %+v", why, a, actions)
	}
	return a
}

func mustNot[A Action](t *testing.T, why string, actions []Action) {
	t.Helper()
	if a, ok := has[A](actions); ok {
		t.Fatalf("%s: %T %+v", why, a, a)
	}
}

func record(e pair.Epoch, h pair.Holder, l Ledger) Record {
	return Record{
		PairUID:       "pair",
		Epoch:         e,
		Holder:        h,
		LeaseDuration: testT,
		Ledger:        l,
		Appointed:     &Appointed{Holder: h, Epoch: e},
		Data:          map[pair.MemberName]pair.DataID{"shop-0": "data-0", "shop-1": "data-1"},
		Signed:        signedAt(e, h, l.Version),
	}
}

func both(v pair.LedgerVersion) Ledger { return Ledger{Version: v, State: Both} }

func soloOf(m pair.MemberName, v pair.LedgerVersion) Ledger {
	return Ledger{Version: v, State: Solo, First: m}
}

// opened is a rig whose member is open at epoch 2.
func opened(t *testing.T, l Ledger) *rig {
	t.Helper()
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	open := must[Open](t, "named by the Lease", r.read(record(2, me, l)))
	if open.Epoch != 2 {
		t.Fatalf("opens at %d", open.Epoch)
	}
	if r.disk.OpenAt != 2 || r.disk.Known != 2 {
		t.Fatalf("open before open-at was on the volume: %+v", r.disk)
	}
	r.step(Opened{At: r.now, OK: true})
	return r
}

func TestOpensOnlyOnItsOwnFreshReading(t *testing.T) {
	cases := map[string]struct {
		found Durable
		feed  func(r *rig) []Action
		open  bool
	}{
		"a newer epoch that names it needs no word": {Durable{Known: 1}, func(r *rig) []Action {
			return r.read(record(2, me, both(1)))
		}, true},
		"an epoch known before the start needs the peer's word": {Durable{Known: 2, Holder: me, HolderRead: true}, func(r *rig) []Action {
			return r.read(record(2, me, both(1)))
		}, false},
		"and opens with it": {Durable{Known: 2, Holder: me, HolderRead: true}, func(r *rig) []Action {
			r.read(record(2, me, both(1)))
			return r.word(2)
		}, true},
		// As an operator does that goes by a restored Lease: the epoch was another's already.
		"one that the peer holds needs it too": {Durable{Known: 1}, func(r *rig) []Action {
			r.read(record(1, pair.Holder{}, both(1)))
			r.step(VouchAsked{
				At:      r.now,
				PairUID: "pair",
				Asker:   "shop-1",
				Epoch:   2,
				Nonce:   "n",
				Signed:  signedAt(2, them, 1),
			})
			return r.read(record(2, me, both(1)))
		}, false},
		"also when it says so itself": {Durable{Known: 1, Holder: me, HolderRead: true}, func(r *rig) []Action {
			r.read(record(1, me, both(1)))
			v := r.answer(1, "data-1")
			v.Known, v.Holder, v.ClaimsHolder, v.Signed = 2, them, true, signedAt(2, them, 1)
			r.step(v)
			return r.read(record(2, me, both(1)))
		}, false},
		"one that the peer only knows does not": {Durable{Known: 1, Holder: me, HolderRead: true}, func(r *rig) []Action {
			r.read(record(1, me, both(1)))
			v := r.answer(1, "data-1")
			v.Known, v.Holder, v.Signed = 2, me, signedAt(2, me, 1)
			r.step(v)
			return r.read(record(2, me, both(1)))
		}, true},
		"a word alone opens nothing before the Lease was read": {Durable{Known: 2, Holder: me, HolderRead: true}, func(r *rig) []Action {
			return r.word(2)
		}, false},
		"a reading asked for longer than T ago confirms nothing": {Durable{Known: 1}, func(r *rig) []Action {
			asked := r.now
			r.after(testT + time.Millisecond)
			return r.step(LeaseRead{
				AskedAt: asked,
				At:      r.now,
				Outcome: ReadFound,
				Record:  record(2, me, both(1)),
			})
		}, false},
		"another pod of the same member is not it": {Durable{Known: 1}, func(r *rig) []Action {
			return r.read(record(2, pair.Holder{Member: me.Member, PodUID: "other"}, both(1)))
		}, false},
		"a Lease of another pair is not read": {Durable{Known: 1}, func(r *rig) []Action {
			rec := record(2, me, both(1))
			rec.PairUID = "other"
			return r.read(rec)
		}, false},
		"an epoch below the known one opens nothing": {Durable{Known: 3}, func(r *rig) []Action {
			return r.read(record(2, me, both(1)))
		}, false},
		"data that the Lease does not name is not opened": {Durable{Known: 1}, func(r *rig) []Action {
			rec := record(2, me, both(1))
			rec.Data["shop-0"] = "other"
			return r.read(rec)
		}, false},
		"an epoch it ceased at is not opened": {Durable{Known: 1}, func(r *rig) []Action {
			r.order(CommandCease, 2, 1)
			return r.read(record(2, me, both(1)))
		}, false},
		"a missing Lease opens nothing": {Durable{Known: 2, Holder: me, HolderRead: true}, func(r *rig) []Action {
			r.step(LeaseRead{AskedAt: r.now, At: r.now, Outcome: ReadMissing})
			return r.word(2)
		}, false},
		"within an epoch the holder does not become this member": {Durable{Known: 1}, func(r *rig) []Action {
			r.read(record(2, them, both(1)))
			return r.read(record(2, me, both(1)))
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.found.DataID = "data-0"
			r := newRig(t, c.found)
			r.boot()
			out := c.feed(r)
			out = append(out, r.after(10*time.Millisecond)...)
			if _, got := has[Open](out); got != c.open {
				t.Errorf("opens: %t, want %t; view %+v", got, c.open, r.m.View())
			}
		})
	}
}

func TestWithoutConfirmationItClosesSoftlyAndIsKilledByT(t *testing.T) {
	r := opened(t, both(1))
	from := r.now
	var closedAt, killedAt Instant
	for r.now < from.Add(2*testT) {
		out := r.after(10 * time.Millisecond)
		if _, ok := has[Close](out); ok && closedAt == 0 {
			closedAt = r.now
		}
		if _, ok := has[Kill](out); ok && killedAt == 0 {
			killedAt = r.now
		}
	}
	if closedAt == 0 || closedAt > from.Add(testT*4/5+20*time.Millisecond) {
		t.Errorf("soft fence %s after the last confirmation, T is %s", closedAt.Sub(from), testT)
	}
	if killedAt == 0 || killedAt > from.Add(testT) {
		t.Errorf("killed %s after the last confirmation, T is %s", killedAt.Sub(from), testT)
	}
	if r.m.deadman == 0 || r.m.deadman > from.Add(testT) {
		t.Errorf("the deadman strikes %s after the last confirmation", r.m.deadman.Sub(from))
	}
}

func TestAConfirmationCountsFromBeforeItWasAskedFor(t *testing.T) {
	r := opened(t, both(1))
	r.after(testT / 4)
	answer := r.answer(2, "data-1")
	asked := r.now
	r.now = r.now.Add(500 * time.Millisecond)
	d := must[SetDeadman](t, "a new confirmation", r.step(answer))
	if d.Deadline >= asked.Add(testT) {
		t.Errorf("deadman at %s, counted from the answer", d.Deadline.Sub(asked))
	}
}

func TestAVouchThatDoesNotCount(t *testing.T) {
	cases := map[string]func(*rig, VouchAnswered) VouchAnswered{
		"the answer to another question": func(_ *rig, v VouchAnswered) VouchAnswered {
			v.Nonce += "0"
			return v
		},
		"the same answer a second time": func(r *rig, v VouchAnswered) VouchAnswered {
			r.step(v)
			r.after(testT / 4)
			return v
		},
		"the answer to a question put longer than T ago": func(r *rig, v VouchAnswered) VouchAnswered {
			r.now = r.now.Add(testT)
			return v
		},
		"by a process whose data the Lease does not know": func(_ *rig, v VouchAnswered) VouchAnswered {
			v.Data = "data-of-a-volume-given-up"
			return v
		},
		"by a process without data": func(_ *rig, v VouchAnswered) VouchAnswered {
			v.Data = ""
			return v
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			r := opened(t, both(1))
			r.after(testT / 4)
			v := change(r, r.answer(2, "data-1"))
			before := r.m.View().ConfirmedAt
			r.now = r.now.Add(time.Millisecond)
			v.At = r.now
			mustNot[SetDeadman](t, name, r.step(v))
			if at := r.m.View().ConfirmedAt; at != before {
				t.Errorf("confirmed at %s, before at %s", at.Sub(0), before.Sub(0))
			}
		})
	}
}

func TestAHolderThatNobodyAppointedWaits(t *testing.T) {
	const margin = time.Second
	edited := func(l Ledger) Record {
		rec := record(3, me, l)
		rec.Appointed = &Appointed{Holder: them, Epoch: 2}
		return rec
	}
	entered := Ledger{Version: 1, State: Both, Incarnations: map[pair.MemberName]pair.Incarnation{"shop-0": "inc-1", "shop-1": "inc-x"}}
	// opensAfter is how long after it was first named it opens; -1 for not within 4 T.
	opensAfter := func(t *testing.T, rec Record, before func(*rig)) time.Duration {
		r := newRig(t, Durable{DataID: "data-0", Known: 1})
		r.m.cfg.Margin = margin
		r.boot()
		r.read(record(2, them, rec.Ledger))
		before(r)
		named := r.now
		for r.now < named.Add(4*testT) {
			if _, ok := has[Open](r.read(rec)); ok {
				return r.now.Sub(named)
			}
			if _, ok := has[Open](r.after(10 * time.Millisecond)); ok {
				return r.now.Sub(named)
			}
		}
		return -1
	}
	none := func(*rig) {}
	cases := map[string]struct {
		rec      Record
		from, to time.Duration
	}{
		"appointed, at once":                      {record(3, me, entered), 0, 50 * time.Millisecond},
		"written by someone else, T and a margin": {edited(entered), testT + margin, testT + margin + testT/2},
		"alone in the ledger, the same":           {edited(soloOf("shop-0", 1)), testT + margin, testT + margin + testT/2},
		"without every acknowledged write, never": {edited(soloOf("shop-1", 1)), -1, -1},
		"in another run than entered, never": {edited(Ledger{
			Version: 1, State: Both, Incarnations: map[pair.MemberName]pair.Incarnation{"shop-0": "inc-old", "shop-1": "inc-x"},
		}), -1, -1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := opensAfter(t, c.rec, none); got < c.from || got > c.to {
				t.Errorf("opens after %s, want %s to %s", got, c.from, c.to)
			}
		})
	}
}

func TestAQuestionToThePeerIsNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, start := range []pair.AgentStart{"a", "b"} {
		cfg := testConfig()
		cfg.Start = start
		m := NewMachine(cfg, Durable{}, 0)
		for range 50 {
			if n := m.put(); seen[n] {
				t.Fatalf("nonce %q twice", n)
			} else {
				seen[n] = true
			}
		}
	}
}

func TestAfterALapseItTakesTheWord(t *testing.T) {
	r := opened(t, both(1))
	r.after(testT - time.Second/2)
	r.step(Closed{At: r.now, Proven: true})
	r.after(testT)
	mustNot[Open](t, "after a lapse by a reading alone", r.read(record(2, me, both(1))))
	if !r.m.View().NeedsConfirmation {
		t.Error("the view does not say that it needs the word")
	}
	must[Open](t, "with the word", append(r.word(2), r.after(time.Millisecond)...))
}

func TestARevocationClosesAtOnce(t *testing.T) {
	r := opened(t, both(1))
	must[Close](t, "nobody is named", r.read(record(3, pair.Holder{}, both(1))))
	out := r.step(Closed{At: r.now})
	must[Kill](t, "the close is not proven", out)
	if r.disk.OpenAt != 2 {
		t.Errorf("open-at was removed without a proven close: %+v", r.disk)
	}
}

func TestAProvenCloseRemovesTheMark(t *testing.T) {
	r := opened(t, both(1))
	r.read(record(3, pair.Holder{}, both(1)))
	r.step(Closed{At: r.now, Proven: true})
	if r.disk.OpenAt != 0 {
		t.Errorf("open-at is still there: %+v", r.disk)
	}
}

func TestCeaseIsOnTheVolumeBeforeItIsAcknowledged(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	r.read(record(1, them, both(1)))
	r.noSync = true
	out := r.order(CommandCease, 2, 1)
	mustNot[Answer](t, "before the fsync", out)
	p := must[Persist](t, "cease", out)
	if p.Durable.Known != 2 {
		t.Fatalf("persists %+v", p.Durable)
	}
	asked := VouchAsked{
		At:      r.now,
		PairUID: "pair",
		Asker:   "shop-1",
		Epoch:   1,
		Nonce:   "n",
	}
	if v := must[AnswerVouch](t, "asked", r.step(asked)); v.Given {
		t.Error("vouched for an epoch below the one it ceases at")
	}
	mustNot[Answer](t, "after a failed write", r.step(Persisted{At: r.now, Seq: p.Seq}))
	r.noSync = false
	r.disk = p.Durable
	a := must[Answer](t, "after the fsync", r.after(testT))
	if !a.Ceased || a.Epoch != 2 {
		t.Errorf("answer %+v", a)
	}
}

func TestVouchesOnlyForWhatItKnows(t *testing.T) {
	ask := func(r *rig, e pair.Epoch) AnswerVouch {
		return must[AnswerVouch](r.t, "asked", r.step(VouchAsked{
			At:      r.now,
			PairUID: "pair",
			Asker:   "shop-1",
			Epoch:   e,
			Nonce:   "n",
			Signed:  signedAt(e, them, 1),
		}))
	}
	passive := func(t *testing.T) *rig {
		r := newRig(t, Durable{DataID: "data-0", Known: 1})
		r.boot()
		return r
	}
	cases := map[string]struct {
		feed  func(*rig)
		epoch pair.Epoch
		given bool
	}{
		"not before it has read the Lease itself": {func(*rig) {}, 2, false},
		"for the holder it has read":              {func(r *rig) { r.read(record(2, them, both(1))) }, 2, true},
		"not for a newer epoch than it knows":     {func(r *rig) { r.read(record(2, them, both(1))); r.noSync = true }, 3, false},
		"but once that is on its volume": {func(r *rig) {
			r.read(record(2, them, both(1)))
			ask(r, 3)
		}, 3, true},
		"not for an older one":                    {func(r *rig) { r.read(record(3, them, both(1))) }, 2, false},
		"not when the holder is another":          {func(r *rig) { r.read(record(2, pair.Holder{}, both(1))) }, 2, false},
		"not when it takes itself for the holder": {func(r *rig) { r.read(record(2, me, both(1))) }, 2, false},
		"not with void data": {func(r *rig) {
			r.read(record(2, them, both(1)))
			r.step(DataGone{At: r.now})
		}, 2, false},
		"after a fence at its primary's epoch": {func(r *rig) {
			r.read(record(2, them, both(1)))
			r.order(CommandFence, 2, 1)
			r.step(Closed{At: r.now, Proven: true})
		}, 2, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := passive(t)
			c.feed(r)
			if v := ask(r, c.epoch); v.Given != c.given {
				t.Errorf("given %t (%s), want %t", v.Given, v.Why, c.given)
			}
		})
	}
}

func TestAStaleCommandIsRefused(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 5, Ledger: 7})
	r.boot()
	for name, c := range map[string]struct {
		epoch  pair.Epoch
		ledger pair.LedgerVersion
	}{"epoch": {4, 7}, "ledger version": {5, 6}} {
		if out := must[Refuse](t, name, r.order(CommandFence, c.epoch, c.ledger)); out.Reason != RefusedStale {
			t.Errorf("%s: refused as %s", name, out.Reason)
		}
	}
}
