package checksum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

func pressure(lag time.Duration, active int, history int64) pairOf[tablesql.Pressure] {
	return pairOf[tablesql.Pressure]{
		primary: tablesql.Pressure{Active: active, History: history},
		passive: tablesql.Pressure{Lag: lag},
	}
}

func calm(looks int) []pairOf[tablesql.Pressure] {
	return slices.Repeat([]pairOf[tablesql.Pressure]{pressure(0, 0, 0)}, looks)
}

func TestTheGateFollowsTheLoad(t *testing.T) {
	throttle := Options{}.withDefaults().Throttle
	cases := []struct {
		name  string
		looks []pairOf[tablesql.Pressure]
		want  level
	}{
		{"not looked at", nil, unseen},
		{"a single look says little", []pairOf[tablesql.Pressure]{pressure(0, 0, 0)}, unseen},
		{"as many calm looks as end a load, less one", calm(calmLooks - 1), unseen},
		{"idle", calm(calmLooks), free},
		{"the last of the first looks sees clients", append(calm(calmLooks-1), pressure(0, 9, 0)), busy},
		{"lag among the first looks", append(calm(calmLooks-1), pressure(time.Minute, 0, 0)), shut},
		{"one session", []pairOf[tablesql.Pressure]{pressure(0, 1, 0)}, busy},
		{"lag after sessions", []pairOf[tablesql.Pressure]{pressure(0, 9, 0), pressure(time.Minute, 0, 0), pressure(0, 0, 0)}, busy},
		{"several sessions", []pairOf[tablesql.Pressure]{pressure(0, 3, 0)}, busy},
		{"one calm look does not end it", []pairOf[tablesql.Pressure]{pressure(0, 3, 0), pressure(0, 0, 0)}, busy},
		{"lag", []pairOf[tablesql.Pressure]{pressure(1100*time.Millisecond, 0, 0)}, shut},
		{"lag goes before sessions", []pairOf[tablesql.Pressure]{pressure(time.Minute, 9, 0)}, shut},
		{"lag is over", append([]pairOf[tablesql.Pressure]{pressure(time.Minute, 0, 0)}, calm(calmLooks)...), free},
		{"lag is over, and clients were not seen yet", []pairOf[tablesql.Pressure]{pressure(time.Minute, 0, 0), pressure(0, 0, 0)}, unseen},
		{"history", []pairOf[tablesql.Pressure]{pressure(0, 0, 1_000_001)}, shut},
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			g := newGate(throttle, time.Now)
			for _, look := range one.looks {
				g.set(look)
			}
			if got, _ := g.see(); got != one.want {
				t.Errorf("level %d, want %d", got, one.want)
			}
		})
	}
	g := newGate(throttle, time.Now)
	g.set(pressure(0, 9, 0))
	for range calmLooks {
		g.set(pressure(0, 0, 0))
	}
	if got, _ := g.see(); got != free {
		t.Errorf("after %d calm looks: level %d", calmLooks, got)
	}
	fewer := newGate(Throttle{ActiveClients: 3, BusyShare: 5}, time.Now)
	for range calmLooks {
		fewer.set(pressure(0, 2, 0))
	}
	if got, _ := fewer.see(); got != free {
		t.Errorf("two sessions where three are busy: level %d", got)
	}
	off := newGate(Throttle{
		MaxLag:        -1,
		ActiveClients: -1,
		MaxHistory:    -1,
		BusyShare:     5,
	}, time.Now)
	off.set(pressure(time.Hour, 99, 1<<40))
	if got, _ := off.see(); got != free {
		t.Errorf("with all limits off: level %d", got)
	}
}

func TestNothingIsReadBeforeTheMembersWereLookedAt(t *testing.T) {
	g := newGate(Options{}.withDefaults().Throttle, time.Now)
	for range calmLooks - 1 {
		short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := g.enter(short, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("after %d looks a chunk was let through: %v", g.looked, err)
		}
		cancel()
		g.set(pressure(0, 0, 0))
	}
	g.set(pressure(0, 9, 0)) // clients that most looks miss
	leave, err := g.enter(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := g.enter(short, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the first chunks of a run on a busy pair are read by several sessions: %v", err)
	}
	leave()
	if waited, _ := newGate(Throttle{}, time.Now).throttled(); waited != 0 {
		t.Errorf("looking before anything is read counts as %v of giving way", waited)
	}
}

func TestTheGateHoldsBack(t *testing.T) {
	g := newGate(Options{}.withDefaults().Throttle, time.Now)
	g.set(pressure(time.Minute, 0, 0))
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := g.enter(short, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a shut gate let a chunk through: %v", err)
	}
	passed := make(chan error, 1)
	go func() {
		leave, err := g.enter(t.Context(), time.Minute)
		if err == nil {
			leave()
		}
		passed <- err
	}()
	for _, look := range calm(calmLooks) {
		g.set(look)
	}
	if err := <-passed; err != nil {
		t.Error(err)
	}
	g.set(pressure(0, 9, 0))
	leave, err := g.enter(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	short2, cancel2 := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel2()
	if _, err := g.enter(short2, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two chunks at once while busy: %v", err)
	}
	began := time.Now()
	leave()
	if pause := time.Since(began); pause < 9*30*time.Millisecond {
		t.Errorf("a pause of %v after a chunk of 30 ms, want 9 times as long", pause)
	}
	if all, shut := g.throttled(); shut < 30*time.Millisecond || all < shut+10*30*time.Millisecond {
		t.Errorf("%v were spent giving way, %v of it shut; want what was waited", all, shut)
	}
}

// What makes the history longer must not be what waits until it is shorter.
func TestSnapshotsAreGivenUpWhileNothingIsRead(t *testing.T) {
	g := newGate(Options{}.withDefaults().Throttle, time.Now)
	g.set(pressure(time.Minute, 0, 0))
	if _, err := g.enter(t.Context(), time.Millisecond); !errors.Is(err, errShut) {
		t.Errorf("while the passive lags: %v, want %v", err, errShut)
	}
	entered := make(chan error, 1)
	go func() {
		_, err := g.enter(t.Context(), time.Hour)
		entered <- err
	}()
	g.set(pressure(time.Minute, 0, 1_000_001))
	if err := <-entered; !errors.Is(err, errShut) {
		t.Errorf("with a long history: %v, want %v", err, errShut)
	}
	opened := make(chan error, 1)
	go func() { opened <- g.open(t.Context()) }()
	for _, look := range calm(calmLooks) {
		g.set(look)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestReportAndStateAreBounded(t *testing.T) {
	var last State
	b := newBook(Options{Save: func(s State) { last = s }}.withDefaults())
	if err := b.begin(pairOf[string]{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	b.setDrift(make([]SchemaDrift, 10_000))
	long := strings.Repeat("x", 60)
	for i := range 3000 {
		name := TableName{Schema: long, Name: fmt.Sprintf("%s%d", long[:50], i)}
		rows := make([]Row, 50)
		for j := range rows {
			rows[j] = Row{
				Key:           []string{long},
				Kind:          Changed,
				Primary:       long,
				Passive:       long,
				PrimaryValues: map[string]string{"c": strings.Repeat("v", 250)},
			}
		}
		table := TableReport{
			Table:  name,
			State:  []TableState{Consistent, Different, Skipped}[i%3],
			Reason: long,
			Rows:   1000,
		}
		if table.State == Different {
			table.Changed, table.Differing = 50, b.keep(rows)
		}
		b.finishTable(table)
	}
	text, err := json.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	if limit := 384 << 10; len(text) > limit {
		t.Errorf("a state of %d bytes, want at most %d", len(text), limit)
	}
	report := b.finish(true, 0, 0)
	totals := report.Totals()
	if totals.Tables != 3000 || totals.Different != 1000 || totals.DifferingRows != 50_000 || totals.Rows != 3_000_000 {
		t.Errorf("totals %+v", totals)
	}
	kept := int64(0)
	for _, table := range report.Tables {
		kept += int64(len(table.Differing))
	}
	if kept == 0 || kept+report.RowsNotKept != 50_000 {
		t.Errorf("%d rows kept, %d not", kept, report.RowsNotKept)
	}
}

// Of two tables that were under way, a run that is killed early has taken up one.
func TestARunThatIsKilledTwiceKeepsAllPositions(t *testing.T) {
	position := func(name, after string) Position {
		return Position{Partial: TableReport{Table: TableName{Schema: "s", Name: name}, Rows: 7}, After: []string{after}}
	}
	first := State{
		Report:  Report{PrimaryUUID: "a", PassiveUUID: "b"},
		Current: []Position{position("t", "10"), position("u", "20"), position("dropped", "30")},
	}
	var last State
	b := newBook(Options{Resume: &first, Save: func(s State) { last = s }, Now: steps(time.Minute)}.withDefaults())
	if err := b.begin(pairOf[string]{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	b.plan([]tablesql.Size{{TableName: TableName{Schema: "s", Name: "t"}}, {TableName: TableName{Schema: "s", Name: "u"}}})
	if _, found := b.takeUp(TableName{Schema: "s", Name: "t"}); !found {
		t.Fatal("the position of s.t is lost")
	}
	b.progress(position("t", "11"))
	b = newBook(Options{Resume: &last}.withDefaults())
	if err := b.begin(pairOf[string]{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"t": "11", "u": "20", "dropped": ""} {
		got, _ := b.takeUp(TableName{Schema: "s", Name: name})
		if strings.Join(got.After, ",") != want {
			t.Errorf("the second run goes on with %s after %q, want %q", name, got.After, want)
		}
	}
}

// A position says that everything before it is done, whichever lane was faster.
func TestAPositionWaitsForTheChunksBeforeIt(t *testing.T) {
	var last State
	options := Options{Save: func(s State) { last = s }, Now: steps(time.Minute)}.withDefaults()
	b := newBook(options)
	if err := b.begin(pairOf[string]{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	one := newTableRun(&run{Options: options, book: b}, tablesql.Size{TableName: TableName{Schema: "s", Name: "t"}}, 2)
	one.table = &tablesql.Table{}
	for _, step := range []struct {
		number int
		high   string
		after  string
		rows   int64
	}{{1, "20", "", 0}, {2, "30", "", 0}, {0, "10", "30", 30}, {4, "50", "30", 30}, {3, "40", "50", 50}} {
		one.complete(step.number, chunk{span: span{high: []string{step.high}}, rows: 10})
		got := last.Current[0]
		if strings.Join(got.After, ",") != step.after || got.Partial.Rows != step.rows {
			t.Errorf("after chunk %d: position %v with %d rows, want %s with %d", step.number, got.After, got.Partial.Rows, step.after, step.rows)
		}
	}
}

func TestPatterns(t *testing.T) {
	cases := []struct {
		include, exclude []string
		want             string
	}{
		{nil, nil, "app.orders app.order_log web.pages"},
		{[]string{"app"}, nil, "app.orders app.order_log"},
		{[]string{"app.*"}, []string{"*.*_log"}, "app.orders"},
		{[]string{"*.order?"}, nil, "app.orders"},
		{[]string{"w*"}, nil, "web.pages"},
		{nil, []string{"*"}, ""},
	}
	for _, one := range cases {
		f, err := newFilter(Options{Include: one.include, Exclude: one.exclude})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []TableName{{Schema: "app", Name: "orders"}, {Schema: "app", Name: "order_log"}, {Schema: "web", Name: "pages"}} {
			if f.has(name) {
				got = append(got, name.String())
			}
		}
		if strings.Join(got, " ") != one.want {
			t.Errorf("include %q, exclude %q: %q, want %q", one.include, one.exclude, got, one.want)
		}
	}
	for _, bad := range []string{"", "a[", `a\`} {
		if CheckPattern(bad) == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
}

// A chunk is one statement, which cannot be interrupted.
func TestLargeRowsMakeSmallChunks(t *testing.T) {
	const limit = 20_000
	for name, c := range map[string]struct {
		rows, bytes, want int64
	}{
		"narrow rows":            {10_000_000, 600_000_000, limit},
		"nothing is known":       {0, 0, limit},
		"rows of four kilobytes": {1 << 18, 1 << 30, chunkBytes / 4096},
		"an old estimate":        {3, 16384, limit},
		"rows of a megabyte":     {1000, 1000 << 20, chunkBytes >> 20},
		"rows larger than all":   {2, 4 << 30, 1},
	} {
		if got := rowsOf(tablesql.Size{Rows: c.rows, Bytes: c.bytes}, limit); got != c.want {
			t.Errorf("%s: %d rows, want %d", name, got, c.want)
		}
	}
	one := newTableRun(&run{Options: Options{}.withDefaults()}, tablesql.Size{}, 2)
	for _, step := range []struct {
		rows int64
		took time.Duration
		want int64
	}{
		{limit, 3 * longChunk, limit / 2}, {limit, 3 * longChunk, limit / 2}, {limit / 2, longChunk * 2, limit / 4}, {limit / 4, longChunk - 1, limit / 4},
		{limit / 4, shortChunk - 1, limit / 2}, {limit / 4, shortChunk - 1, limit / 2}, {limit / 2, 0, limit}, {limit, 0, limit}, {1, time.Hour, 1},
	} {
		if one.adapt(step.rows, step.took); one.rows != step.want {
			t.Errorf("after %d rows in %s: %d, want %d", step.rows, step.took, one.rows, step.want)
		}
	}
}
