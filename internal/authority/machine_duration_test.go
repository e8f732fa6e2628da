package authority

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// TestTheLeaseSaysHowLongAConfirmationCounts: the operator counts the end of an authority
// with the T of the Lease, whatever the agent was configured with when it started.
func TestTheLeaseSaysHowLongAConfirmationCounts(t *testing.T) {
	for name, said := range map[string]time.Duration{
		"a shorter T than the agent was started with": testT / 2,
		"a longer one": 2 * testT,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Durable{DataID: "data-0", Known: 1})
			r.boot()
			rec := record(2, me, both(1))
			rec.LeaseDuration = said
			must[Open](t, "named by the Lease", r.read(rec))
			r.step(Opened{At: r.now, OK: true})
			from := r.now
			var closedAt, killedAt Instant
			for r.now < from.Add(3*testT) {
				out := r.after(10 * time.Millisecond)
				if _, ok := has[Close](out); ok && closedAt == 0 {
					closedAt = r.now
				}
				if _, ok := has[Kill](out); ok && killedAt == 0 {
					killedAt = r.now
				}
			}
			if killedAt == 0 || killedAt > from.Add(said) || r.m.deadman > from.Add(said) {
				t.Errorf("killed %s after the last confirmation, deadman at %s, T is %s", killedAt.Sub(from), r.m.deadman.Sub(from), said)
			}
			if closedAt.Sub(from) < said/2 {
				t.Errorf("closed after %s already, T is %s", closedAt.Sub(from), said)
			}
			if got := r.m.View().LeaseDuration; got != said {
				t.Errorf("the view says T is %s, want %s", got, said)
			}
		})
	}
}

func TestAMemberWithAShortTAsksOftenEnough(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.m.cfg.T = 15 * testT
	r.boot()
	must[Open](t, "named by the Lease", r.read(record(2, me, both(1))))
	r.step(Opened{At: r.now, OK: true})
	for until := r.now.Add(3 * testT); r.now < until; {
		if r.m.ask.vouchOut {
			r.word(2)
		}
		if out := r.after(10 * time.Millisecond); r.m.serving != Serves {
			t.Fatalf("%s though the peer vouches: %+v", r.m.serving, out)
		}
	}
}

// TestAnAppointmentByHandWaitsForTheLongestT: the former holder lives by the T that it read.
func TestAnAppointmentByHandWaitsForTheLongestT(t *testing.T) {
	r := newRig(t, Durable{DataID: "data-0", Known: 1})
	r.boot()
	former := record(2, them, soloOf("shop-0", 1))
	former.LeaseDuration = 3 * testT
	r.read(former)
	edited := record(3, me, soloOf("shop-0", 1))
	edited.Appointed = nil
	named := r.now
	for r.now < named.Add(3*testT) {
		if _, ok := has[Open](append(r.read(edited), r.after(10*time.Millisecond)...)); ok {
			t.Fatalf("opens %s after it was named, the former holder may be open for %s", r.now.Sub(named), former.LeaseDuration)
		}
	}
}

// TestAJumpEndsTheSoftFenceInTime: what a forward jump hides has passed; T includes it.
func TestAJumpEndsTheSoftFenceInTime(t *testing.T) {
	r := opened(t, both(1))
	from := r.now
	jump := testT * 3 / 10
	r.now = r.now.Add(testT * 6 / 10)
	must[Close](t, "a jump", r.step(ClockJumped{At: r.now, Forward: jump}))
	truth := func() time.Duration { return r.now.Sub(from) + jump }
	if end := r.m.deadman.Sub(from) + jump; r.m.deadman == 0 || end > testT {
		t.Errorf("the deadman strikes %s after the last confirmation, T is %s", end, testT)
	}
	for truth() < 2*testT {
		if _, ok := has[Kill](r.after(10 * time.Millisecond)); ok {
			break
		}
	}
	if truth() > testT {
		t.Errorf("killed %s after the last confirmation, T is %s", truth(), testT)
	}
}

// ranOut is the proof that whatever pod of a member there is has no authority any more.
func ranOut(t *testing.T, m pair.MemberName, e pair.Epoch) fencing.Proof {
	t.Helper()
	const voucher = "shop-0"
	begin := time.Now()
	book := fencing.NewBook()
	book.SawEpoch(e, begin)
	req, err := book.Ask(fencing.Subject{Member: voucher, PodUID: "uid-0"}, e, "cease", begin)
	if err != nil {
		t.Fatal(err)
	}
	reply := agentapi.FenceReply{
		RequestID: "cease",
		Member:    voucher,
		PodUID:    "uid-0",
		Epoch:     e,
		Ceased:    true,
	}
	if err := book.Ceased(req, reply, begin); err != nil {
		t.Fatal(err)
	}
	x := fencing.Expiry{
		Subject: fencing.Subject{Member: m},
		Voucher: voucher,
		Epoch:   e,
		Lease:   time.Second,
	}
	proof, _ := book.Expired(x, begin.Add(2*time.Second))
	return proof
}

// TestTheSamePodDoesNotGetAShorterT: it may be open still by a confirmation from before,
// which it counts with the T that it read then.
func TestTheSamePodDoesNotGetAShorterT(t *testing.T) {
	last := pair.Holder{Member: "shop-0", PodUID: "uid-0"}
	r := Record{
		PairUID:       "pair",
		Epoch:         4,
		LeaseDuration: 60 * time.Second,
		Ledger:        soloOf("shop-0", 1),
		Data:          map[pair.MemberName]pair.DataID{"shop-0": "data-0"},
		LastHolder:    &LastHolder{Holder: last, DataID: "data-0", Epoch: 3},
	}
	for name, c := range map[string]struct {
		to   pair.Holder
		wish time.Duration
		want time.Duration
	}{
		"the same pod, a shorter T": {last, 6 * time.Second, 60 * time.Second},
		"the same pod, a longer T":  {last, 90 * time.Second, 90 * time.Second},
	} {
		next, err := Appoint{
			To:      c.to,
			Grounds: GroundsReturn,
			Lease:   c.wish,
			Others:  []fencing.Subject{{Member: "shop-1"}},
			Proofs:  []fencing.Proof{ranOut(t, "shop-1", r.Epoch)},
		}.Apply(r)
		if err != nil {
			t.Fatal(err)
		}
		if next.LeaseDuration != c.want {
			t.Errorf("%s: T is %s, want %s", name, next.LeaseDuration, c.want)
		}
	}
}
