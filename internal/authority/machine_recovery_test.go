package authority

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

func unclean() Durable {
	return Durable{
		DataID:     "data-0",
		Known:      2,
		Holder:     me,
		HolderRead: true,
		OpenAt:     2,
		Ledger:     1,
	}
}

func TestAnUncleanEndIsNotStartedBeforeTheHolderIsKnown(t *testing.T) {
	cases := map[string]struct {
		rec   Record
		wait  time.Duration
		start bool
	}{
		"named, after the time for a failover": {record(2, me, both(1)), 3 * time.Second, true},
		"named, before that time":              {record(2, me, both(1)), time.Second, false},
		"named and solo: at once":              {record(2, me, soloOf("shop-0", 1)), 0, true},
		"appointed again: at once":             {record(4, me, both(1)), 0, true},
		"another is named":                     {record(3, them, both(1)), 10 * time.Second, false},
		"nobody is named":                      {record(3, pair.Holder{}, both(1)), 10 * time.Second, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, unclean())
			mustNot[StartMysqld](t, "before anything is read", r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true}))
			out := r.read(c.rec)
			for end := r.now.Add(c.wait); r.now < end; {
				out = append(out, r.after(100*time.Millisecond)...)
				out = append(out, r.read(c.rec)...)
			}
			if _, got := has[StartMysqld](out); got != c.start {
				t.Errorf("started: %t, want %t", got, c.start)
			}
			if r.disk.TailCommitted != c.start {
				t.Errorf("tailCommitted on the volume: %t", r.disk.TailCommitted)
			}
		})
	}
}

func TestATailKeepsItClosedUntilThePeerHasIt(t *testing.T) {
	ready := func(t *testing.T, l Ledger) *rig {
		r := newRig(t, unclean())
		r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true})
		r.read(record(4, me, l))
		r.up()
		return r
	}
	t.Run("covered by the peer", func(t *testing.T) {
		r := ready(t, both(2))
		mustNot[Open](t, "before it is covered", r.after(10*time.Millisecond))
		mustNot[Open](t, "covered in another run", r.step(TailCovered{At: r.now, Incarnation: "inc-old"}))
		must[Open](t, "covered", append(r.step(TailCovered{At: r.now, Incarnation: r.m.run.incarnation}), r.after(time.Millisecond)...))
	})
	t.Run("solo by its own reading", func(t *testing.T) {
		r := ready(t, soloOf("shop-0", 2))
		r.after(10 * time.Millisecond)
		open := must[Open](t, "solo", r.log)
		if open.Waiting {
			t.Error("a solo member waits")
		}
	})
	t.Run("joining is not solo", func(t *testing.T) {
		r := ready(t, Ledger{Version: 2, State: Joining, First: "shop-0"})
		r.after(10 * time.Millisecond)
		mustNot[Open](t, "joining", r.log)
	})
}

func TestMysqldThatDiesUnderAnUnbrokenConfirmationComesBackInPlace(t *testing.T) {
	r := opened(t, soloOf("shop-0", 1))
	r.after(time.Second)
	r.step(MysqldExited{At: r.now})
	mustNot[StartMysqld](t, "by a confirmation from before the end", r.after(time.Millisecond))
	mustNot[StartMysqld](t, "by a ledger from before the end", append(r.word(2), r.after(time.Millisecond)...))
	must[StartMysqld](t, "alone, as read since", r.read(record(2, me, soloOf("shop-0", 1))))
	r.log = nil
	r.up()
	must[Open](t, "at the same epoch", r.log)
}

func TestAPrimaryDoesNotGoByALedgerThatItReadLongAgo(t *testing.T) {
	joining := Ledger{Version: 1, State: Joining, First: "shop-0"}
	t.Run("mysqld has ended", func(t *testing.T) {
		r := opened(t, joining)
		r.after(time.Second)
		r.log = nil
		must[ReadLease](t, "at once", r.step(MysqldExited{At: r.now}))
		r.word(2)
		r.read(record(2, me, both(2)))
		r.after(time.Millisecond)
		mustNot[StartMysqld](t, "the peer is in sync meanwhile and may take over", r.log)
	})
	t.Run("SIGTERM", func(t *testing.T) {
		r := opened(t, joining)
		r.after(time.Second)
		r.log = nil
		must[ReadLease](t, "at once", r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)}))
		r.read(record(2, me, both(2)))
		mustNot[Close](t, "the peer is in sync meanwhile and may take over", r.log)
	})
	t.Run("no API server answers", func(t *testing.T) {
		r := opened(t, joining)
		r.after(time.Second)
		r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)})
		r.log = nil
		for range 5 {
			r.word(2)
			r.after(testT / 16)
		}
		must[Close](t, "by what is known", r.log)
	})
}

func TestATailCanBeCutWhenTheStartDidNotCome(t *testing.T) {
	r := opened(t, soloOf("shop-0", 1))
	r.after(time.Second)
	r.step(MysqldExited{At: r.now})
	r.noSync = true // the volume has not written the mark when the authority is revoked
	mark := must[Persist](t, "alone, as read since", r.read(record(2, me, soloOf("shop-0", 1))))
	if !mark.Durable.TailCommitted {
		t.Fatalf("no mark is written before the start: %+v", mark.Durable)
	}
	r.read(record(3, pair.Holder{}, soloOf("shop-0", 1)))
	r.noSync = false
	r.disk = mark.Durable
	mustNot[StartMysqld](t, "nobody is named", append(r.step(Persisted{At: r.now, Seq: mark.Seq, OK: true}), r.after(time.Second)...))
	if r.disk.TailCommitted {
		t.Error("the tail counts as committed, and no mysqld was started")
	}
	if r.disk.OpenAt == 0 {
		t.Error("the unclean end is forgotten")
	}
}

func TestTheLedgerDecidesAboutWaiting(t *testing.T) {
	r := opened(t, soloOf("shop-0", 3))
	if r.m.View().Waiting {
		t.Fatal("waits though solo")
	}
	joining := Ledger{Version: 4, State: Joining, First: "shop-0"}
	s := must[SetSemiSync](t, "joining", r.read(record(2, me, joining)))
	if !s.Waiting || s.Version != 4 {
		t.Fatalf("%+v", s)
	}
	if v := r.m.View().ActedLedger; v != 3 {
		t.Errorf("acted on %d before waiting was on", v)
	}
	r.step(WaitingSet{At: r.now, Version: 4, OK: true})
	if v := r.m.View().ActedLedger; v != 4 {
		t.Errorf("acted on %d, want 4", v)
	}
	mustNot[SetSemiSync](t, "an older reading that arrives late", r.read(record(2, me, soloOf("shop-0", 3))))
	s = must[SetSemiSync](t, "a newer solo", r.read(record(2, me, soloOf("shop-0", 5))))
	if s.Waiting {
		t.Error("waits though solo at a newer version")
	}
}

func TestATailOfCommitsThatDidNotWaitIsNotCutOff(t *testing.T) {
	r := opened(t, both(3))
	r.step(SemiSyncLost{At: r.now})
	r.after(time.Millisecond)
	if !r.disk.TailCommitted {
		t.Fatal("not on the volume")
	}
	acts := func(l Ledger) {
		t.Helper()
		must[SetSemiSync](t, "a newer ledger", r.read(record(2, me, l)))
		r.step(WaitingSet{At: r.now, Version: l.Version, OK: true})
		r.after(time.Millisecond)
	}
	acts(both(4)) // follows from a joining under which it may have happened
	if !r.disk.TailCommitted {
		t.Error("forgotten before the peer was verified to have it")
	}
	acts(Ledger{Version: 5, State: Joining, First: "shop-0"})
	if !r.disk.TailCommitted {
		t.Error("forgotten while the peer joins")
	}
	acts(both(6))
	if r.disk.TailCommitted {
		t.Error("kept after the peer was verified to have everything")
	}
}

func TestTheAckFenceLastsUntilANewerEpochNamesThePeer(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	must[Follow](t, "the peer is named", r.read(record(2, them, both(1))))
	out := r.order(CommandAckFence, 3, 1)
	must[StopReceiver](t, "ack fence", out)
	mustNot[Answer](t, "before the receiver stands still", out)
	if r.disk.ReceiverStopped != 3 {
		t.Fatalf("not on the volume: %+v", r.disk)
	}
	a := must[Answer](t, "stopped", r.step(ReceiverIsStopped{At: r.now, OK: true}))
	if !a.ReceiverStopped || !a.Ceased {
		t.Fatalf("%+v", a)
	}
	mustNot[Follow](t, "nobody is named", r.read(record(3, pair.Holder{}, both(1))))

	// A new process finds it.
	r = newRig(t, r.disk)
	r.boot()
	mustNot[Follow](t, "after a restart", r.read(record(3, pair.Holder{}, both(1))))
	must[Follow](t, "a newer epoch names the peer", r.read(record(4, them, both(1))))
}

func TestSIGTERMOnAPrimaryWaitsForTheSwitchover(t *testing.T) {
	end := func(t *testing.T, l Ledger) *rig {
		r := opened(t, l)
		r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)})
		return r
	}
	t.Run("the peer is in sync", func(t *testing.T) {
		r := end(t, both(1))
		mustNot[Close](t, "at once", r.log)
		must[Close](t, "the Lease names nobody", r.read(record(3, pair.Holder{}, both(1))))
		must[StopMysqld](t, "closed", r.step(Closed{At: r.now, Proven: true}))
		must[Exit](t, "gone", r.step(MysqldExited{At: r.now}))
	})
	t.Run("alone", func(t *testing.T) {
		must[Close](t, "at once", end(t, soloOf("shop-0", 1)).log)
	})
	t.Run("the Lease is gone", func(t *testing.T) {
		r := end(t, both(1))
		must[Close](t, "gone", r.step(LeaseRead{AskedAt: r.now, At: r.now, Outcome: ReadMissing}))
	})
	t.Run("the peer is gone", func(t *testing.T) {
		r := end(t, both(1))
		for limit := r.now.Add(testT); r.now <= limit; {
			r.read(record(2, me, both(1)))
			r.after(100 * time.Millisecond)
		}
		must[Close](t, "silent for T", r.log)
	})
}

func TestAnAgentThatWasAskedToEndLingersAndAnswers(t *testing.T) {
	r := opened(t, both(1))
	r.m.cfg.Linger = 3 * time.Second
	r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)})
	must[Close](t, "the Lease names nobody", r.read(record(3, pair.Holder{}, both(1))))
	must[StopMysqld](t, "closed", r.step(Closed{At: r.now, Proven: true}))

	mustNot[Answer](t, "while mysqld ends", r.order(CommandFence, 3, 1))
	must[Kill](t, "a fence does not wait for a clean end", r.log)
	a := must[Answer](t, "mysqld has ended", r.step(MysqldExited{At: r.now}))
	if !a.ProcessStopped || !a.Ceased {
		t.Errorf("answer %+v", a)
	}
	mustNot[Exit](t, "within the linger", r.after(2900*time.Millisecond))
	must[Answer](t, "asked again meanwhile", r.order(CommandFence, 3, 1))
	must[Exit](t, "after the linger", r.after(200*time.Millisecond))

	r = opened(t, soloOf("shop-0", 1))
	r.m.cfg.Linger = 3 * time.Second
	r.step(Terminate{At: r.now, Until: r.now.Add(time.Minute)})
	must[StopMysqld](t, "closed", r.step(Closed{At: r.now, Proven: true}))
	must[Exit](t, "still the holder, its next process serves clients", r.step(MysqldExited{At: r.now}))
}

func TestAForwardJumpOfTheWallClockCountsAsTime(t *testing.T) {
	r := opened(t, both(1))
	r.after(time.Second)
	must[Close](t, "a jump within T", r.step(ClockJumped{At: r.now, Forward: 2 * time.Second}))
	r = opened(t, both(1))
	r.after(time.Second)
	must[Kill](t, "a jump past T", r.step(ClockJumped{At: r.now, Forward: testT}))
}

func TestAFencedPassiveWithSlowReadersIsNotKilledAtOnce(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	r.read(record(2, them, both(1)))
	must[Close](t, "fence", r.order(CommandFence, 2, 1))
	out := r.step(Closed{At: r.now})
	mustNot[Kill](t, "the first time", out)
	must[Close](t, "again", out)
	a := must[Answer](t, "proven", r.step(Closed{At: r.now, Proven: true}))
	if !a.Demoted || a.ProcessStopped {
		t.Errorf("%+v", a)
	}
}

func TestAnotherLedgerAtAVersionActedOnEndsNoWaiting(t *testing.T) {
	r := opened(t, both(3))
	mustNot[SetSemiSync](t, "a ledger that was edited within its version", r.read(record(2, me, soloOf("shop-0", 3))))
	if !r.m.View().Waiting {
		t.Fatal("commits do not wait")
	}
	s := must[SetSemiSync](t, "solo at a newer version", r.read(record(2, me, soloOf("shop-0", 4))))
	if s.Waiting || s.Version != 4 {
		t.Fatalf("%+v", s)
	}
}
