package authority_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

const a, b = pair.MemberName("shop-0"), pair.MemberName("shop-1")

func both() authority.Record {
	return authority.Record{
		PairUID:       "u",
		Epoch:         3,
		Holder:        pair.Holder{Member: a, PodUID: "pa"},
		LeaseDuration: 6 * time.Second,
		Ledger:        authority.Ledger{Version: 5, State: authority.Both, Incarnations: map[pair.MemberName]pair.Incarnation{a: "ia", b: "ib"}},
		Data:          map[pair.MemberName]pair.DataID{a: "da", b: "db"},
	}
}

func apply(t *testing.T, r authority.Record, changes ...authority.Change) authority.Record {
	t.Helper()
	for _, c := range changes {
		before := r.Clone()
		next, err := c.Apply(r)
		if err != nil {
			t.Fatalf("%s: %v", c.Name(), err)
		}
		if diff := cmp.Diff(before, r); diff != "" {
			t.Fatalf("%s modified its argument:\n%s", c.Name(), diff)
		}
		if !r.Follows(next) {
			t.Errorf("%s made a record that does not follow", c.Name())
		}
		r = next
	}
	return r
}

// closed is an agent's proof for a pod at the record's epoch.
func closed(t *testing.T, r authority.Record, m pair.MemberName, uid pair.PodUID) fencing.Proof {
	t.Helper()
	book := fencing.NewBook()
	book.SawEpoch(r.Epoch, time.Time{})
	req, err := book.Ask(fencing.Subject{Member: m, PodUID: uid}, r.Epoch, "r", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := fencing.FromReply(req, agentapi.FenceReply{
		RequestID: "r",
		Member:    m,
		PodUID:    uid,
		Epoch:     r.Epoch,
		Ceased:    true,
		Demoted:   true,
	}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func promote(t *testing.T, r authority.Record) authority.Appoint {
	t.Helper()
	return authority.Appoint{
		To:          pair.Holder{Member: b, PodUID: "pb"},
		Grounds:     authority.GroundsPromote,
		Incarnation: "ib",
		Lease:       6 * time.Second,
		Others:      []fencing.Subject{{Member: a, PodUID: "pa"}},
		Proofs:      []fencing.Proof{closed(t, r, a, "pa")},
	}
}

func TestAFailoverChangesTheRecord(t *testing.T) {
	revoked := apply(t, both(), authority.Revoke{Intent: authority.Intent{Operation: "op"}})
	if !revoked.Holder.Nobody() || revoked.Epoch != 4 || revoked.LastHolder.DataID != "da" || revoked.LastHolder.Epoch != 3 {
		t.Fatalf("revoked: %+v", revoked)
	}
	got := apply(t, revoked, promote(t, revoked))
	want := authority.Ledger{
		Version:      6,
		State:        authority.Solo,
		First:        b,
		Incarnations: map[pair.MemberName]pair.Incarnation{b: "ib"},
	}
	if diff := cmp.Diff(want, got.Ledger); diff != "" || got.Epoch != 5 || got.Holder.Member != b {
		t.Errorf("promoted: %+v %s", got, diff)
	}
	if diff := cmp.Diff(&authority.Left{
		Member: a,
		DataID: "da",
		Epoch:  3,
		Clean:  true,
		Proof:  fencing.Demoted,
	}, got.Left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// A copy takes minutes, in which the donor may have to be appointed again.
func TestACopyThatOutlivesAnAppointmentIsStillNamed(t *testing.T) {
	solo := both()
	solo.Ledger = authority.Ledger{
		Version:      6,
		State:        authority.Solo,
		First:        a,
		Incarnations: map[pair.MemberName]pair.Incarnation{a: "ia"},
	}
	seeding := apply(t, solo, authority.ForgetData{Member: b, NewData: "copy"})
	revoked := apply(t, seeding, authority.Revoke{Intent: authority.Intent{Operation: "op", Target: a}})
	appointed := apply(t, revoked, authority.Appoint{
		To:      revoked.LastHolder.Holder,
		Grounds: authority.GroundsReturn,
		Others:  []fencing.Subject{{Member: b, PodUID: "pb"}},
		Proofs:  []fencing.Proof{closed(t, revoked, b, "pb")},
	})
	named := apply(t, appointed, authority.NameData{Member: b, DataID: "copy"})
	if named.Data[b] != "copy" || named.Seeding != nil {
		t.Errorf("named: %+v", named)
	}
	if _, err := (authority.NameData{Member: b, DataID: "strange"}).Apply(appointed); err == nil {
		t.Error("data that was not asked for was named")
	}
}

func TestNobodyIsAppointedOtherwise(t *testing.T) {
	revoked := apply(t, both(), authority.Revoke{})
	for name, spoil := range map[string]func(*authority.Record, *authority.Appoint){
		"without a proof":             func(_ *authority.Record, c *authority.Appoint) { c.Proofs = nil },
		"with a proof of another pod": func(r *authority.Record, c *authority.Appoint) { c.Proofs = []fencing.Proof{closed(t, *r, a, "px")} },
		"with a proof of the epoch before": func(r *authority.Record, c *authority.Appoint) {
			older := r.Clone()
			older.Epoch--
			c.Proofs = []fencing.Proof{closed(t, older, a, "pa")}
		},
		"while the other's new pod is not proven": func(_ *authority.Record, c *authority.Appoint) {
			c.Others = append(c.Others, fencing.Subject{Member: a, PodUID: "pa2"})
		},
		"with nothing said of the other member": func(_ *authority.Record, c *authority.Appoint) { c.Others = nil },
		// As a record says that was restored: the other one was the holder since.
		"to return while the other has no pod": func(r *authority.Record, c *authority.Appoint) {
			r.LastHolder.Holder, r.LastHolder.DataID = c.To, r.Data[b]
			c.Grounds = authority.GroundsReturn
			c.Others = []fencing.Subject{{Member: a}}
		},
		"while someone is the holder": func(r *authority.Record, _ *authority.Appoint) { r.Holder = pair.Holder{Member: a, PodUID: "pa"} },
		"in another run of mysqld":    func(_ *authority.Record, c *authority.Appoint) { c.Incarnation = "next" },
		"out of a ledger that is solo": func(r *authority.Record, _ *authority.Appoint) {
			r.Ledger.State = authority.Solo
			r.Ledger.First = a
		},
		"while it only joins": func(r *authority.Record, _ *authority.Appoint) {
			r.Ledger.State = authority.Joining
			r.Ledger.First = a
		},
		"without known data":            func(r *authority.Record, _ *authority.Appoint) { delete(r.Data, b) },
		"as a return of another's data": func(_ *authority.Record, c *authority.Appoint) { c.Grounds = authority.GroundsReturn },
		"as the first at a later epoch": func(_ *authority.Record, c *authority.Appoint) { c.Grounds = authority.GroundsFirst },
	} {
		r := revoked.Clone()
		c := promote(t, r)
		spoil(&r, &c)
		if got, err := c.Apply(r); !errors.Is(err, authority.ErrNotAllowed) {
			t.Errorf("%s: appointed %s, %v", name, got.Holder, err)
		}
	}
}

func TestTheWayBackIntoTheLedger(t *testing.T) {
	r := apply(t, both(), authority.EnterSolo{Member: a})
	if r.Ledger.MustWait(a) || r.Ledger.InSync(b) {
		t.Fatalf("solo: %+v", r.Ledger)
	}
	r.Left = &authority.Left{Member: b}
	r = apply(t, r, authority.BeginJoining{First: a, Joining: b})
	if !r.Ledger.MustWait(a) || r.Ledger.InSync(b) || !r.Ledger.InSync(a) {
		t.Fatalf("joining: %+v", r.Ledger)
	}
	conclude := authority.ConcludeBoth{
		First:        a,
		Joined:       b,
		Version:      r.Ledger.Version,
		Incarnations: map[pair.MemberName]pair.Incarnation{a: "ia", b: "i2"},
	}
	stale := conclude
	stale.Version--
	if _, err := stale.Apply(r); !errors.Is(err, authority.ErrNotAllowed) {
		t.Error("a check made under an older ledger was accepted")
	}
	r = apply(t, r, conclude)
	if r.Ledger.State != authority.Both || r.Left != nil || r.Ledger.Incarnations[b] != "i2" {
		t.Errorf("both: %+v", r)
	}
}

func TestLedgerChangesThatAreNotAllowed(t *testing.T) {
	for name, c := range map[string]authority.Change{
		"solo of a passive":                 authority.EnterSolo{Member: b},
		"joining of the passive's passive":  authority.BeginJoining{First: b, Joining: a},
		"both out of both":                  authority.ConcludeBoth{First: a, Joined: b, Version: 5},
		"data of a member in sync given up": authority.ForgetData{Member: b, NewData: "n"},
		"other data for a known member":     authority.NameData{Member: b, DataID: "n"},
		"a second beginning":                authority.StartBootstrap{Member: a, DataID: "n"},
		"a beginning on another member":     authority.RestartBootstrap{Member: b, DataID: "n"},
	} {
		if _, err := c.Apply(both()); !errors.Is(err, authority.ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestartBootstrap(t *testing.T) {
	r := apply(t, authority.Fresh("u", 6*time.Second), authority.StartBootstrap{Member: a, DataID: "first"})
	for name, r := range map[string]authority.Record{
		"while it initializes": r,
		"with first data":      apply(t, r, authority.NameData{Member: a, DataID: "first"}),
	} {
		got := apply(t, r, authority.RestartBootstrap{Member: b, DataID: "second"}, authority.NameData{Member: b, DataID: "second"})
		if diff := cmp.Diff(map[pair.MemberName]pair.DataID{b: "second"}, got.Data); diff != "" || got.Bootstrap != nil {
			t.Errorf("%s: data (-want +got):\n%s", name, diff)
		}
		if _, err := (authority.RestartBootstrap{Member: b, DataID: "first"}).Apply(r); !errors.Is(err, authority.ErrNotAllowed) {
			t.Errorf("%s: data of the same name: %v", name, err)
		}
	}
	// An epoch that is 0 by hand does not make a history undone.
	r.Appointed = &authority.Appointed{}
	if _, err := (authority.RestartBootstrap{Member: b, DataID: "second"}).Apply(r); !errors.Is(err, authority.ErrNotAllowed) {
		t.Errorf("after an appointment: %v", err)
	}
}

func TestTheEndOfAPodOutlivesTheOperator(t *testing.T) {
	revoked := apply(t, both(), authority.EnterSolo{Member: a}, authority.Revoke{})
	book := fencing.NewBook()
	book.SawEpoch(revoked.Epoch, time.Time{})
	req, err := book.Ask(fencing.Subject{Member: a, PodUID: "pa"}, revoked.Epoch, "r7", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	end, err := fencing.FromPod(req, fencing.PodFacts{
		UID:          "pa",
		Deleting:     true,
		Terminated:   true,
		ContainerID:  "c",
		KubeletEnded: true,
	}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (authority.RecordEnd{Proof: closed(t, revoked, a, "pa")}).Apply(revoked); !errors.Is(err, authority.ErrNotAllowed) {
		t.Error("an agent's answer was written down as an end")
	}
	r := apply(t, revoked, authority.RecordEnd{Proof: end})
	got := apply(t, r, authority.Appoint{
		To:      pair.Holder{Member: a, PodUID: "pa2"},
		Grounds: authority.GroundsReturn,
		Others:  []fencing.Subject{{Member: b, PodUID: "pb"}},
		Proofs:  []fencing.Proof{closed(t, r, b, "pb")},
	})
	if got.Holder.PodUID != "pa2" || got.Ledger.State != authority.Solo || got.Ledger.Version != r.Ledger.Version || got.Left != nil {
		t.Errorf("returned: %+v", got)
	}
}

func TestAdoptionStartsAboveEverythingSeen(t *testing.T) {
	c := authority.Adopt{
		PairUID:     "u2",
		Target:      pair.Holder{Member: b, PodUID: "pb"},
		Data:        map[pair.MemberName]pair.DataID{a: "da", b: "db"},
		AboveEpoch:  9,
		AboveLedger: 20,
		Fallback:    authority.Fresh("u2", 6*time.Second),
	}
	got, err := c.Apply(authority.Record{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != 10 || !got.Holder.Nobody() || got.Ledger.Version != 21 || got.Ledger.First != b || got.LastHolder.Holder.Member != b {
		t.Errorf("adopted: %+v", got)
	}
}

func TestFollows(t *testing.T) {
	r := both()
	for name, spoil := range map[string]func(*authority.Record){
		"an older epoch":                   func(n *authority.Record) { n.Epoch-- },
		"another holder at the same epoch": func(n *authority.Record) { n.Holder.Member = b },
		"an older ledger":                  func(n *authority.Record) { n.Ledger.Version-- },
		"another ledger at the same version": func(n *authority.Record) {
			n.Ledger.State = authority.Solo
			n.Ledger.First = b
		},
		"another T at the same epoch": func(n *authority.Record) { n.LeaseDuration /= 2 },
		"another pair":                func(n *authority.Record) { n.PairUID = "x" },
	} {
		n := r.Clone()
		spoil(&n)
		if r.Follows(n) {
			t.Errorf("%s follows", name)
		}
	}
}
