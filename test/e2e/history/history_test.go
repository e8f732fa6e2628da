package history

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLost(t *testing.T) {
	ack := func(w, s int) Attempt { return Attempt{Key: Key{w, s}, Done: Stamp(s)} }
	failed := Attempt{Key: Key{1, 3}, Error: "1053"}
	cases := map[string]struct {
		attempts []Attempt
		rows     map[Key]bool
		want     []Attempt
	}{
		"an acknowledged write that is there is not lost":     {[]Attempt{ack(1, 1)}, map[Key]bool{{1, 1}: true}, nil},
		"an acknowledged write that is missing is lost":       {[]Attempt{ack(1, 2), ack(1, 1)}, map[Key]bool{}, []Attempt{ack(1, 1), ack(1, 2)}},
		"a refused write may be missing":                      {[]Attempt{failed}, map[Key]bool{}, nil},
		"a write whose answer was lost may be there":          {[]Attempt{failed}, map[Key]bool{{1, 3}: true}, nil},
		"the same number of another writer does not stand in": {[]Attempt{ack(1, 1)}, map[Key]bool{{2, 1}: true}, []Attempt{ack(1, 1)}},
		"another number of the same writer does not stand in": {[]Attempt{ack(1, 1)}, map[Key]bool{{1, 2}: true}, []Attempt{ack(1, 1)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Lost(c.attempts, c.rows)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatWasGivenUpIsGoneAndNothingElse(t *testing.T) {
	attempts := []Attempt{
		{Key: Key{1, 1}, Done: 1}, {Key: Key{1, 2}, Done: 2}, {Key: Key{1, 3}, Done: 3}, {Key: Key{1, 4}, Done: 4, Error: "refused"},
	}
	givenUp := func(a Attempt) bool { return a.Done >= 2 }
	cases := map[string]struct {
		rows       map[Key]bool
		givenUp    func(Attempt) bool
		lost, back int
	}{
		"exactly that is gone":       {map[Key]bool{{1, 1}: true}, givenUp, 0, 0},
		"one more is gone":           {map[Key]bool{}, givenUp, 1, 0},
		"one of it is there":         {map[Key]bool{{1, 1}: true, {1, 3}: true}, givenUp, 0, 1},
		"a refused one says nothing": {map[Key]bool{{1, 1}: true, {1, 4}: true}, givenUp, 0, 0},
		"nothing was given up":       {map[Key]bool{{1, 1}: true}, nil, 2, 0},
	}
	for name, c := range cases {
		if lost, back := Judge(attempts, c.rows, c.givenUp); len(lost) != c.lost || len(back) != c.back {
			t.Errorf("%s: lost %v, back %v", name, lost, back)
		}
	}
}

func TestOverlaps(t *testing.T) {
	a := func(from, to Stamp) Interval { return Interval{Member: "a", From: from, To: to} }
	b := func(from, to Stamp) Interval { return Interval{Member: "b", From: from, To: to} }
	cases := map[string]struct {
		intervals []Interval
		frozen    []Frozen
		want      int
	}{
		"one after the other":                           {[]Interval{a(1, 5), b(5, 9)}, nil, 0},
		"one moment in common":                          {[]Interval{a(1, 6), b(5, 9)}, nil, 1},
		"one within the other":                          {[]Interval{a(1, 9), b(4, 5)}, nil, 1},
		"the same member twice is no overlap":           {[]Interval{a(1, 6), a(5, 9)}, nil, 0},
		"an open end lasts forever":                     {[]Interval{a(1, 0), b(500, 900)}, nil, 1},
		"an open end after the other's end is fine":     {[]Interval{b(500, 900), a(900, 0)}, nil, 0},
		"a frozen machine is not open":                  {[]Interval{a(1, 60), b(20, 90)}, []Frozen{{"a", 10, 55, 5}}, 0},
		"open after the thaw and its grace is found":    {[]Interval{a(1, 70), b(20, 90)}, []Frozen{{"a", 10, 55, 5}}, 1},
		"open before the freeze is found":               {[]Interval{a(1, 60), b(5, 90)}, []Frozen{{"a", 10, 55, 5}}, 1},
		"the freeze of the other one is no excuse":      {[]Interval{a(1, 60), b(20, 25)}, []Frozen{{"b", 30, 55, 5}}, 1},
		"an end that is not known outlasts the thaw":    {[]Interval{a(1, 0), b(20, 90)}, []Frozen{{"a", 10, 55, 5}}, 1},
		"both of no length at the same place are apart": {[]Interval{a(5, 5), b(5, 5)}, nil, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Overlaps(c.intervals, c.frozen); len(got) != c.want {
				t.Errorf("overlaps: %v, want %d", got, c.want)
			}
		})
	}
}

func TestWritableSpans(t *testing.T) {
	at := func(m string, asked Stamp, writable bool) Sample {
		return Sample{Member: m, Asked: asked, Answered: asked + 2, Writable: writable}
	}
	got := WritableSpans([]Sample{
		at("a", 10, true), at("a", 20, true), at("a", 30, true), // one span
		at("a", 40, false),
		at("a", 50, true),                     // alone
		at("b", 15, true), at("b", 200, true), // too far apart
	}, 50)
	want := []Interval{
		{Member: "a", From: 12, To: 30},
		{Member: "b", From: 17, To: 17},
		{Member: "a", From: 52, To: 52},
		{Member: "b", From: 202, To: 202},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(Overlaps(got, nil)); n != 1 {
		t.Errorf("overlaps: %d, want the one look at b within a's span", n)
	}
}

func TestReadAgentLogAndIntervals(t *testing.T) {
	log := strings.Join([]string{
		`2026-11-21T10:00:00Z stdout F {"msg":"agent begins","member":"shop-0"}`,
		`2026-11-21T10:00:00Z stdout F 2026-11-21 [System] mysqld: ready for connections {not json`,
		`{"msg":"member opens","member":"shop-0","epoch":1,"openedAt":10}`,
		`{"msg":"member closed","member":"shop-0","epoch":1,"openedAt":10,"closedAt":20,"lastConfirmationAskedAt":15,"how":"revoked"}`,
		`{"msg":"member closed","member":"shop-0","epoch":1,"openedAt":10,"closedAt":21,"how":"deadman"}`,
		`{"msg":"member opens","member":"shop-0","epoch":3,"openedAt":30}`,
		`{"msg":"member opens","member":"shop-0","epoch":5,"openedAt":50}`,
	}, "\n")
	events, err := ReadAgentLog("shop-0", strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	want := []Interval{
		{Member: "shop-0", Epoch: 1, From: 10, To: 20, ConfirmedAt: 15, Why: "revoked"},
		{Member: "shop-0", Epoch: 3, From: 30, To: 50, Why: "no closing stamp; ended by the next opening"},
		{Member: "shop-0", Epoch: 5, From: 50},
	}
	if diff := cmp.Diff(want, Intervals(events)); diff != "" {
		t.Error(diff)
	}
	if late := ClosedLate(want, 4); len(late) != 1 {
		t.Errorf("closed late: %v, want the first", late)
	}
	if late := ClosedLate(want, 5); len(late) != 0 {
		t.Errorf("closed late: %v, want none", late)
	}
	if _, err := ReadAgentLog("shop-0", strings.NewReader(`{"msg":"member opens","epoch":1}`)); err == nil {
		t.Error("a line without its stamp was taken")
	}
}

func TestTurns(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := func(server string, gno int64, second int) Commit {
		return Commit{Server: server, GNO: gno, At: start.Add(time.Duration(second) * time.Second)}
	}
	cases := map[string]struct {
		commits      []Commit
		appointments int
		wantErr      string
	}{
		"one server":                            {[]Commit{c("a", 1, 1), c("a", 2, 2)}, 1, ""},
		"a change under two appointments":       {[]Commit{c("a", 1, 1), c("b", 1, 3), c("a", 2, 2)}, 2, ""},
		"both binlogs hold the same commit":     {[]Commit{c("a", 1, 1), c("b", 1, 3), c("a", 1, 1), c("b", 1, 3)}, 2, ""},
		"a write in between is found":           {[]Commit{c("a", 1, 1), c("b", 1, 2), c("a", 2, 3)}, 2, "a wrote at 10:00:01.000000"},
		"there and back under three is allowed": {[]Commit{c("a", 1, 1), c("b", 1, 2), c("a", 2, 3)}, 3, ""},
		"a change that nobody appointed":        {[]Commit{c("a", 1, 1), c("b", 1, 2)}, 1, "2 turns under 1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := CheckTurns(TurnsOf(tc.commits), tc.appointments)
			switch {
			case tc.wantErr == "" && err != nil:
				t.Error(err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestGapsAndFirstAcks(t *testing.T) {
	attempts := []Attempt{
		{Key: Key{1, 1}, Sent: 1, Done: 10, Server: "a"},
		{Key: Key{2, 1}, Sent: 2, Done: 12, Server: "a"},
		{Key: Key{1, 2}, Sent: 13, Done: 60, Error: "refused"},
		{Key: Key{2, 2}, Sent: 14, Done: 15, Error: "refused"},
		{Key: Key{1, 3}, Sent: 61, Done: 70, Server: "b"},
		{Key: Key{1, 4}, Sent: 71, Done: 75, Server: "b"},
	}
	gap, err := LongestGap(attempts)
	if err != nil || gap != (Gap{12, 70}) {
		t.Errorf("gap %v, %v", gap, err)
	}
	if _, err := LongestGap(attempts[2:4]); err == nil {
		t.Error("a run without acknowledged writes has a gap")
	}
	if a, ok := FirstAckOf(attempts, 5, "a"); !ok || a.Key != (Key{1, 3}) {
		t.Errorf("first of another server: %v %v", a, ok)
	}
	if _, ok := FirstAckOf(attempts, 80, "a"); ok {
		t.Error("found a write after the end")
	}
	if a, ok := SlowestRefusal(attempts, 13, 20); !ok || a.Key != (Key{1, 2}) {
		t.Errorf("slowest refusal: %v %v", a, ok)
	}
	if diff := cmp.Diff([]Key{{9, 9}}, Phantoms(attempts, map[Key]bool{{1, 1}: true, {9, 9}: true})); diff != "" {
		t.Error(diff)
	}
}
