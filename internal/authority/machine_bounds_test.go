package authority

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/dbpair/dbpair/internal/pair"
)

var impossible = []pair.Epoch{-1, math.MinInt64, pair.MaxVersion + 1, math.MaxInt32, math.MaxInt64}

// What an agent writes down as known it never forgets, so that one such number would leave
// no epoch for the pair.
func TestAnImpossibleEpochIsTakenFromNobody(t *testing.T) {
	for _, e := range impossible {
		r := opened(t, both(5))
		r.step(VouchAsked{
			At:      r.now,
			PairUID: "pair",
			Asker:   "shop-1",
			Epoch:   e,
			Nonce:   "n",
		})
		if got := must[AnswerVouch](t, "the peer asks", r.log); got.Given {
			t.Errorf("epoch %d: confirmed", e)
		}
		a := r.answer(2, "data-1")
		a.Known = e
		r.step(a)
		must[Refuse](t, "a fence at an impossible epoch", r.order(CommandFence, e, 9))
		must[Refuse](t, "a reading at an impossible epoch", r.order(CommandReadLease, e, 9))
		must[Refuse](t, "a fence at an impossible version", r.order(CommandFence, 3, pair.LedgerVersion(e)))
		for _, spoil := range []func(*Record){
			func(r *Record) { r.Epoch = e },
			func(r *Record) { r.Ledger.Version = pair.LedgerVersion(e) },
			func(r *Record) { r.Appointed.Epoch = e },
			func(r *Record) { r.LastHolder = &LastHolder{Epoch: e} },
		} {
			rec := record(3, them, both(9))
			spoil(&rec)
			r.read(rec)
		}
		if v := r.m.View(); v.Known != 2 || v.Durable.Known != 2 || v.Serving != Serves || v.ActedLedger != 5 {
			t.Errorf("epoch %d: known is %d (%d on the volume), ledger version %d, %s", e, v.Known, v.Durable.Known, v.ActedLedger, v.Serving)
		}
	}
}

// A volume that has such a number nevertheless takes its epoch from the Lease, and does
// nothing on what is left of its memory alone.
func TestADamagedMemoryIsReplacedByTheLease(t *testing.T) {
	for _, e := range impossible {
		r := newRig(t, Durable{DataID: "data-0", Known: e, OpenAt: 4})
		mustNot[StartMysqld](t, "before anything was read", r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true}))
		r.step(VouchAsked{
			At:      r.now,
			PairUID: "pair",
			Asker:   "shop-1",
			Epoch:   7,
			Nonce:   "n",
		})
		r.read(record(7, them, both(5)))
		r.step(VouchAsked{
			At:      r.now,
			PairUID: "pair",
			Asker:   "shop-1",
			Epoch:   7,
			Nonce:   "m",
		})
		for _, a := range r.log {
			if v, ok := a.(AnswerVouch); ok && v.Given {
				t.Errorf("epoch %d: confirmed for the peer, with nothing known of the past", e)
			}
		}
		if v := r.m.View(); v.Known != 7 || r.disk.Known != 7 || v.Durable.OpenAt == 0 || !v.Durable.TailCommitted {
			t.Errorf("epoch %d: the memory is now %+v", e, v.Durable)
		}
	}
}

func TestADamagedMemoryNeedsThePeersConfirmation(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: math.MaxInt64})
	r.boot()
	r.read(record(7, me, both(5)))
	mustNot[Open](t, "at the first epoch that was read", r.after(testT/16))
	must[Open](t, "with the peer's confirmation", r.word(7))

	r = newRig(t, Durable{DataID: "data-0", Known: math.MaxInt64})
	r.boot()
	r.read(record(7, me, both(5)))
	r.read(record(8, pair.Holder{}, both(5)))
	must[Open](t, "at an epoch of which it saw the beginning", r.read(record(9, me, both(5))))
}

// FuzzDurable: whatever a volume remembers, no machine believes an epoch that no pair has.
func FuzzDurable(f *testing.F) {
	f.Add([]byte(`{"dataID":"data-0","known":7,"holder":{"Member":"shop-0","PodUID":"uid-0"},"holderRead":true,"ledger":3,"openAt":7}`))
	f.Add([]byte(`{"known":9223372036854775807}`))
	f.Add([]byte(`{"known":-1,"openAt":-5,"tailCommitted":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var found Durable
		if json.Unmarshal(text, &found) != nil {
			t.Skip()
		}
		r := newRig(t, found)
		r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true})
		r.read(record(7, me, both(5)))
		if v := r.m.View(); !v.Known.Valid() || !v.Durable.OpenAt.Valid() || !v.ActedLedger.Valid() {
			t.Errorf("known is %d, open at %d, ledger version %d", v.Known, v.Durable.OpenAt, v.ActedLedger)
		}
		if v := r.m.View(); v.Serving.mayWrite() {
			t.Errorf("%+v: open before mysqld was started", found)
		}
	})
}
