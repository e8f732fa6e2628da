package authority

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// peerConfirms answers the newest question to the peer: its mysqld is in this run.
func (r *rig) peerConfirms(run pair.Incarnation, ending bool) []Action {
	v := r.answer(r.m.want.Known, "data-1")
	v.ReportsMysqld = true
	v.Incarnation = run
	v.Ending = ending
	return r.step(v)
}

// bothIn is the ledger both with the peer's mysqld in this run.
func bothIn(v pair.LedgerVersion, peer pair.Incarnation) Ledger {
	l := both(v)
	l.Incarnations = map[pair.MemberName]pair.Incarnation{"shop-0": "inc-1", "shop-1": peer}
	return l
}

// untilStarted lets time pass, with the peer confirming, until mysqld is started, and
// returns how long that took; at most limit.
func (r *rig) untilStarted(limit time.Duration, peer func() []Action) time.Duration {
	r.t.Helper()
	from := r.now
	for r.now < from.Add(limit) {
		peer()
		r.after(50 * time.Millisecond)
		if r.m.serving == Booting {
			return r.now.Sub(from)
		}
	}
	return limit
}

func TestMysqldThatDiesWhileTheAPIServerIsAwayOpensAgainInPlace(t *testing.T) {
	r := opened(t, bothIn(1, "peer-run"))
	streams := func() []Action { return r.peerConfirms("peer-run", false) }
	for end := r.now.Add(3 * testT); r.now < end; {
		streams()
		r.after(testT / 4)
	}
	if r.m.View().Serving != Serves {
		t.Fatalf("%s while the peer confirms", r.m.View().Serving)
	}
	r.step(MysqldExited{At: r.now})
	if took := r.untilStarted(10*time.Second, streams); took >= 10*time.Second {
		t.Fatal("mysqld is not started again")
	}
	r.log = nil
	r.up()
	for range 20 {
		streams()
		r.after(testT / 16)
	}
	mustNot[Open](t, "before the peer has the whole binlog", r.log)
	r.log = nil
	r.step(TailCovered{At: r.now, Incarnation: r.m.run.incarnation})
	for range 8 {
		streams()
		r.after(testT / 16)
	}
	if o := must[Open](t, "the peer knows no higher epoch, is not open, and has everything", r.log); !o.Waiting || o.Epoch != 2 {
		t.Errorf("%+v", o)
	}
}

func TestWithoutAPIServerNothingOpensOnAnOldConfirmationOfThePeer(t *testing.T) {
	for name, answer := range map[string]func(*VouchAnswered){
		"the peer knows a higher epoch": func(v *VouchAnswered) { v.Known = 3 },
		"the peer is open":              func(v *VouchAnswered) { v.Open = true },
		"the peer claims to be holder":  func(v *VouchAnswered) { v.ClaimsHolder = true },
		"the peer refuses":              func(v *VouchAnswered) { v.Given = false },
		"the peer names another holder": func(v *VouchAnswered) { v.Holder = them },
	} {
		t.Run(name, func(t *testing.T) {
			r := opened(t, soloOf("shop-0", 1))
			r.peerConfirms("peer-run", false)
			r.after(testT * 3 / 4)
			r.step(MysqldExited{At: r.now})
			r.log = nil
			for end := r.now.Add(2 * testT); r.now < end && r.m.claimsHolder(); {
				v := r.answer(2, "data-1")
				answer(&v)
				r.step(v)
				if r.m.serving == Booting {
					r.up()
				}
				r.after(50 * time.Millisecond)
			}
			mustNot[Open](t, name, r.log)
		})
	}
}

func TestAHolderRestartsAtOnceWhenNobodyCouldTakeOver(t *testing.T) {
	const long = time.Hour
	cases := map[string]struct {
		ledger Ledger
		run    pair.Incarnation
		ending bool
		old    bool // the peer's agent does not say
		atOnce bool
	}{
		"the peer could":                   {ledger: bothIn(1, "peer-run"), run: "peer-run"},
		"no mysqld runs at the peer":       {ledger: bothIn(1, "peer-run"), run: "", atOnce: true},
		"mysqld of the peer was restarted": {ledger: bothIn(1, "peer-run"), run: "another", atOnce: true},
		"the pod of the peer ends": {
			ledger: bothIn(1, "peer-run"),
			run:    "peer-run",
			ending: true,
			atOnce: true,
		},
		"an older agent that does not say":         {ledger: bothIn(1, "peer-run"), old: true},
		"the ledger does not have the peer":        {ledger: soloOf("shop-0", 1), run: "peer-run", atOnce: true},
		"a ledger that names no run of the peer's": {ledger: both(1), run: "peer-run", atOnce: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := opened(t, c.ledger)
			r.m.cfg.RestartInPlaceAfter = long
			r.after(time.Second)
			r.step(MysqldExited{At: r.now})
			took := r.untilStarted(10*time.Second, func() []Action {
				v := r.answer(2, "data-1")
				v.ReportsMysqld = !c.old
				v.Incarnation = c.run
				v.Ending = c.ending
				return r.step(v)
			})
			if atOnce := took < testT; atOnce != c.atOnce {
				t.Errorf("started after %s", took)
			}
		})
	}
	t.Run("what the peer said before the end does not count", func(t *testing.T) {
		r := opened(t, bothIn(1, "peer-run"))
		r.m.cfg.RestartInPlaceAfter = long
		r.peerConfirms("", false)
		r.after(time.Millisecond)
		r.step(MysqldExited{At: r.now})
		r.log = nil
		r.read(record(2, me, bothIn(1, "peer-run")))
		r.after(time.Millisecond)
		mustNot[StartMysqld](t, "by an answer from before", r.log)
	})
}

func TestSIGTERMDoesNotWaitForASwitchoverToAPeerThatEndsToo(t *testing.T) {
	r := opened(t, bothIn(1, "peer-run"))
	r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)})
	r.peerConfirms("peer-run", false)
	mustNot[Close](t, "the peer could take over", r.log)
	must[Close](t, "the peer ends too", append(r.peerConfirms("peer-run", true), r.after(10*time.Millisecond)...))
}

func TestAVolumeThatTakesNoWritesConfirmsNothing(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	r.read(record(2, them, both(1)))
	asked := func() AnswerVouch {
		t.Helper()
		return must[AnswerVouch](t, "asked", r.step(VouchAsked{
			At:      r.now,
			PairUID: "pair",
			Asker:   "shop-1",
			Epoch:   2,
			Nonce:   "n",
		}))
	}
	if a := asked(); !a.Given {
		t.Fatalf("refused: %s", a.Why)
	}
	r.now = r.now.Add(BeatMost - time.Millisecond)
	if a := asked(); !a.Given {
		t.Fatalf("refused: %s", a.Why)
	}
	r.now = r.now.Add(time.Millisecond)
	if a := asked(); a.Given {
		t.Error("confirms though its volume may be attached elsewhere")
	}
	r.step(VolumeBeat{At: r.now, Begun: r.now.Add(-BeatMost)})
	if a := asked(); a.Given {
		t.Error("confirms by a write that took too long")
	}
	r.beat()
	if a := asked(); !a.Given {
		t.Errorf("refused: %s", a.Why)
	}
}

func TestAProcessOnAVolumeThatWasMovedAcknowledgesACeaseLater(t *testing.T) {
	cfg := testConfig()
	cfg.Moved = true
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.m = NewMachine(cfg, r.disk, r.now)
	r.boot()
	mustNot[Answer](t, "a process elsewhere may still confirm", append(r.order(CommandCease, 2, 1), r.after(BeatMost-time.Millisecond)...))
	a := must[Answer](t, "no other process confirms any more", r.after(time.Millisecond))
	if !a.Ceased || r.disk.Ceased != 2 {
		t.Errorf("%+v %+v", a, r.disk)
	}
}
