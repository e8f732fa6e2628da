package agent_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// What the environment says of TestReturnsAtRandom.
const (
	returnsEnv     = "DBPAIR_RETURNS"      // how many rounds
	returnsSeedEnv = "DBPAIR_RETURNS_SEED" // of its random numbers
)

// leaving is how a primary ends.
type leaving string

const (
	leavesNothing leaving = "nothing"      // everything it has is on its peer
	leavesTail    leaving = "tail"         // commits that nobody acknowledged; they are rewound
	leavesStarted leaving = "kept tail"    // the same, and nobody can say that it was not acknowledged: it is copied
	leavesFork    leaving = "acknowledged" // it went on alone, and its peer is forced: it is copied
)

// returns is a pair whose members change roles again and again.
type returns struct {
	*world
	random *rand.Rand
	// primary and passive by role.
	primary, passive *member
	// rows are the ids in app.t, and next is the first free one.
	rows  []int
	next  int
	names int // of tables and data
}

// TestReturnsAtRandom: primaries end with random tails, forks or nothing, and come back while the new
// primary writes. After each return both members have the same tables, the new primary has nothing of
// what was given up, and every transaction that was given up is in the quarantine as the binary log
// had it, byte for byte.
func TestReturnsAtRandom(t *testing.T) {
	seed := fromEnv(t, returnsSeedEnv, 1)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	rounds = fromEnv(t, returnsEnv, rounds)
	w := newWorld(t)
	w.bootstrap()
	r := &returns{
		world:   w,
		random:  rand.New(rand.NewPCG(uint64(seed), 1)),
		primary: w.members[0],
		passive: w.members[1],
		next:    1,
	}
	r.commit(r.primary, []string{
		"CREATE TABLE t (id INT PRIMARY KEY, v BIGINT, s VARCHAR(2000))",
		"CREATE TABLE busy (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)",
	})
	kinds := []leaving{leavesTail, leavesFork, leavesNothing, leavesStarted}
	r.random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for round := range rounds {
		kind := kinds[round%len(kinds)]
		t.Logf("round %d of seed %d: %s leaves %s", round, seed, r.primary.name, kind)
		r.round(kind)
		if t.Failed() {
			return
		}
	}
	w.disjoint()
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number above 0", name, text)
	}
	return n
}

// round has the primary write, end and come back as the passive.
func (r *returns) round(kind leaving) {
	r.t.Helper()
	former := r.primary
	r.commit(former, r.changes(1+r.random.IntN(12)))
	kept := r.rows
	r.end(kind)
	if kind != leavesNothing {
		r.rows = kept // what comes after is given up
	}
	former.awaitPhase(agentapi.PhaseHeld, patience)
	r.failover(former, r.passive)
	if kind == leavesStarted || kind == leavesFork {
		r.write(func(l *authority.Record) { l.Left.Clean = false })
	}
	r.primary, r.passive = r.passive, former
	r.commit(r.primary, r.changes(1+r.random.IntN(12)))
	if _, err := former.client.ReadLease(r.t.Context(), r.head()); err != nil {
		r.t.Fatal(err)
	}
	before := r.binlogs(former)
	stop := r.load()
	given := r.comeBack(kind)
	r.join(former, r.primary)
	r.checkAbsent(given)
	stop()
	r.checkEqual()
	if s := former.now(); s.RewindRefused != "" || s.TailKept != "" {
		r.t.Errorf("%s is back, and its tail is still refused for %q", former.name, s.RewindRefused)
	}
	if given.IsEmpty() != (kind == leavesNothing) {
		r.t.Errorf("given up is %q", given)
	}
	if !given.IsEmpty() {
		r.checkSaved(former, before, given)
	}
}

// load writes to the primary until it is stopped, so that members come back beside commits.
func (r *returns) load() (stop func()) {
	ended := make(chan struct{})
	var writing sync.WaitGroup
	app := r.primary.db("app")
	name := r.primary.name
	writing.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
			err := r.passive.exec(app, "INSERT INTO busy (v) VALUES (1)")
			if r.t.Context().Err() != nil {
				return
			}
			if err != nil {
				r.t.Errorf("%s refuses writes while its peer comes back: %v", name, err)
				return
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(ended)
		writing.Wait()
	})
	r.t.Cleanup(stop)
	return stop
}

// checkAbsent: nothing that the former primary gave up has reached the new one.
func (r *returns) checkAbsent(given gtid.Set) {
	r.t.Helper()
	var text string
	if err := r.primary.db("root").QueryRow("SELECT @@gtid_executed").Scan(&text); err != nil {
		r.t.Fatal(err)
	}
	if both := gtid.MustParse(text).Intersect(given); !both.IsEmpty() {
		r.t.Errorf("%s gave up %s, and %s has %s of it", r.passive.name, given, r.primary.name, both)
	}
}

// end has the primary's mysqld killed with what it leaves.
func (r *returns) end(kind leaving) {
	t := r.t
	t.Helper()
	a := r.primary
	b := r.passive
	if kind == leavesNothing {
		r.awaitEqual()
		r.killAndRevoke(a)
		return
	}
	_ = b.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }()
	if err := b.exec(b.db("root"), "STOP REPLICA IO_THREAD"); err != nil {
		t.Fatal(err)
	}
	changes := r.changes(1 + r.random.IntN(4))
	if kind == leavesFork {
		r.write(func(l *authority.Record) {
			l.Ledger = authority.Ledger{
				Version: l.Ledger.Version + 1,
				State:   authority.Solo,
				First:   a.name,
			}
		})
		if _, err := a.client.ReadLease(t.Context(), r.head()); err != nil {
			t.Fatal(err)
		}
		r.commit(a, changes)
		r.killAndRevoke(a)
		return
	}
	refused := make(chan error, len(changes))
	for i, change := range changes {
		app := a.db("app")
		go func() { refused <- a.exec(app, change) }()
		a.awaitState("commits wait", patience, func(s agentapi.State) bool { return inBinlogOnly(s) > uint64(i) })
	}
	r.killAndRevoke(a)
	for range changes {
		if err := <-refused; err == nil {
			t.Error("a commit that nobody acknowledged got an OK")
		}
	}
}

// inBinlogOnly is how many transactions of an open member wait for an acknowledgement. Of those that
// mysqld commits together it counts one session only.
func inBinlogOnly(s agentapi.State) uint64 {
	if s.Server == nil {
		return 0
	}
	return gtid.MustParse(s.Server.BinlogGTIDs).Subtract(gtid.MustParse(s.Server.GTIDExecuted)).Count()
}

// comeBack takes the former primary back, and returns what it gave up.
func (r *returns) comeBack(kind leaving) gtid.Set {
	t := r.t
	t.Helper()
	m := r.passive
	snapshot, err := r.primary.client.Snapshot(t.Context(), r.head())
	if err != nil {
		t.Fatal(err)
	}
	data := r.current().Data[m.name]
	executed, err := quarantine.Of(volume.Open(m.path("data"), ""), volume.Retention{}).Executed()
	if err != nil {
		t.Fatal(err)
	}
	given := gtid.MustParse(executed.GTIDs).Subtract(gtid.MustParse(snapshot.BinlogGTIDs))
	rewind := agentapi.RewindCommand{
		Command:     r.head(),
		HolderGTIDs: snapshot.BinlogGTIDs,
		Target:      data,
		KeepTail:    kind == leavesStarted || kind == leavesFork,
	}
	if _, err := m.client.Rewind(t.Context(), rewind); err != nil {
		t.Fatal(err)
	}
	if !rewind.KeepTail {
		return given
	}
	s := m.awaitState("the tail is published", patience, func(s agentapi.State) bool { return s.TailKept != "" })
	if !gtid.MustParse(s.TailKept).Equal(given) {
		t.Errorf("%s keeps %s, and its binary logs have %s beyond the primary's", m.name, s.TailKept, given)
	}
	r.names++
	r.seed(m, r.primary, pair.DataID(fmt.Sprintf("data-of-round-%d", r.names)))
	return given
}

// changes are statements that do not wait for each other's locks.
func (r *returns) changes(n int) []string {
	var out []string
	free := slices.Clone(r.rows)
	take := func() int {
		i := r.random.IntN(len(free))
		id := free[i]
		free = slices.Delete(free, i, i+1)
		return id
	}
	for range n {
		switch kind := r.random.IntN(10); {
		case kind < 2 && len(free) > 0:
			out = append(out, fmt.Sprintf("UPDATE t SET v = %d, s = REPEAT('u', %d) WHERE id = %d", r.random.Int64(), r.random.IntN(2000), take()))
		case kind < 4 && len(free) > 0:
			id := take()
			r.rows = slices.DeleteFunc(slices.Clone(r.rows), func(row int) bool { return row == id })
			out = append(out, fmt.Sprintf("DELETE FROM t WHERE id = %d", id))
		case kind < 5:
			r.names++
			out = append(out, fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY)", r.names))
		default:
			out = append(out, fmt.Sprintf("INSERT INTO t VALUES (%d, %d, REPEAT('i', %d))", r.next, r.random.Int64(), r.random.IntN(2000)))
			r.rows = append(slices.Clone(r.rows), r.next)
			r.next++
		}
	}
	return out
}

// commit executes statements on an open member, each in a transaction of its own.
func (r *returns) commit(m *member, statements []string) {
	r.t.Helper()
	app := m.db("app")
	for _, statement := range statements {
		if err := m.exec(app, statement); err != nil {
			r.t.Fatalf("%s: %s: %v", m.name, statement, err)
		}
	}
}

// awaitEqual waits until the passive has executed what the primary has.
func (r *returns) awaitEqual() {
	r.t.Helper()
	p, q := r.primary.db("root"), r.passive.db("root")
	r.await("both members have executed the same", patience, func() bool {
		var a, b string
		err := p.QueryRow("SELECT @@gtid_executed").Scan(&a)
		if err != nil || q.QueryRow("SELECT @@gtid_executed").Scan(&b) != nil {
			return false
		}
		return gtid.MustParse(a).Equal(gtid.MustParse(b))
	})
}

// checkEqual compares all tables of both members.
func (r *returns) checkEqual() {
	r.t.Helper()
	r.awaitEqual()
	mine, theirs := r.sums(r.primary), r.sums(r.passive)
	if len(mine) == 0 || !slices.Equal(mine, theirs) {
		r.t.Errorf("%s has %q, %s has %q", r.primary.name, mine, r.passive.name, theirs)
	}
	var rows int
	if err := r.primary.db("root").QueryRow("SELECT COUNT(*) FROM app.t").Scan(&rows); err != nil || rows != len(r.rows) {
		r.t.Errorf("%d rows in app.t, want %d (%v)", rows, len(r.rows), err)
	}
}

// sums are the checksums of a member's tables.
func (r *returns) sums(m *member) []string {
	t := r.t
	t.Helper()
	root := m.db("root")
	names, err := root.Query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'app' ORDER BY table_name")
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	var out []string
	for names.Next() {
		var name, table string
		var sum int64
		if err := names.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if err := root.QueryRow("CHECKSUM TABLE app."+name+" EXTENDED").Scan(&table, &sum); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d", table, sum))
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
