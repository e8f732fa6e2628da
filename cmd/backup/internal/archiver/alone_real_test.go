package archiver_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// readersPort is the port for readers of the binary logs that a member's agent has.
type readersPort struct {
	*door.Readers

	t       *testing.T
	server  *mysqldtest.Instance
	address string
}

func newReadersPort(t *testing.T, server *mysqldtest.Instance) *readersPort {
	t.Helper()
	listener, err := door.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mysqld := net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Member.Port))
	port := &readersPort{
		Readers: door.NewReaders(door.DialFrom(mysqlops.ReaderHost, mysqld), "not here"),
		t:       t,
		server:  server,
		address: listener.Addr().String(),
	}
	served := make(chan error, 1)
	go func() { served <- port.Serve(listener) }()
	t.Cleanup(func() {
		_ = listener.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		port.End()
	})
	return port
}

// open lets readers through, as the agent of a primary that is alone does.
func (p *readersPort) open() { p.Open(func() bool { return true }) }

// shut ends all readers, as an agent does before commits wait.
func (p *readersPort) shut() {
	p.t.Helper()
	p.Close()
	mysqldtest.Await(p.t, "the readers have ended", func() bool {
		found, err := p.server.Ops.EndReaders(p.t.Context(), mysqlops.UserReplication)
		return err == nil && found == 0 && p.Empty()
	})
}

// archivedSet is everything that an archive has.
func archivedSet(t *testing.T, objects archive.Objects) gtid.Set {
	t.Helper()
	var all gtid.Set
	for _, run := range open(t, objects).Catalog().Runs {
		all = all.Union(run.End())
	}
	return all
}

// TestAPrimaryIsReadWhileItIsAlone: while commits of the primary wait for nobody it is read, also while
// a passive is there that receives nothing, and no transaction is archived that still waits for an
// acknowledgement. The passive is read again later.
func TestAPrimaryIsReadWhileItIsAlone(t *testing.T) {
	pair := mysqldtest.StartPair(t)
	ctx := t.Context()
	pair.A.Open(false)
	makeAccount(t, pair.A)
	root := pair.A.Root()
	mustExec(t, root, "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	port := newReadersPort(t, pair.A)
	primary := memberOf(t, pair.A)
	primary.Readers = port.address
	objects := newStore(t)
	startOn(t, objects, primary, memberOf(t, pair.B))
	awaitArchived(t, objects, pair.A)

	// What the passive does not receive is not archived while the port is closed.
	if err := pair.B.Ops.StopReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	shared := executed(t, pair.B)
	mustExec(t, root, "INSERT INTO app.t VALUES (2)")
	time.Sleep(time.Second) // several flush intervals
	if beyond := archivedSet(t, objects).Subtract(shared); !beyond.IsEmpty() {
		t.Errorf("%s was archived, which the passive lacks", beyond)
	}
	port.open()
	awaitArchived(t, objects, pair.A)

	// A commit waits, as it can around a change of the ledger: it is in the binary log and is sent.
	if err := pair.A.Ops.StartWaiting(ctx); err != nil {
		t.Fatal(err)
	}
	before := executed(t, pair.A)
	committed := make(chan error, 1)
	go func() {
		_, err := root.ExecContext(ctx, "INSERT INTO app.t VALUES (3)")
		committed <- err
	}()
	pair.A.AwaitStatus("a commit waits", func(s mysqlops.Status) bool { return s.SemiSync.WaitSessions == 1 })
	time.Sleep(2 * time.Second) // several flush intervals
	if beyond := archivedSet(t, objects).Subtract(before); !beyond.IsEmpty() {
		t.Errorf("%s was archived, while it waits for an acknowledgement", beyond)
	}
	oneReads := func(s mysqlops.Status) bool { return len(s.DumpThreads) == 1 }
	if s := pair.A.AwaitStatus("it is read", oneReads); s.SemiSync.Clients != 0 || !s.DumpThreads[0].IsArchiver() {
		t.Errorf("%d acknowledge, and %+v reads", s.SemiSync.Clients, s.DumpThreads[0])
	}
	if err := pair.A.Ops.StopWaiting(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	awaitArchived(t, objects, pair.A)

	// The passive is gone, and comes back.
	pair.B.Terminate()
	mustExec(t, root, "INSERT INTO app.t VALUES (4)")
	awaitArchived(t, objects, pair.A)
	pair.B.Boot()
	pair.B.Follow(pair.A)
	port.shut()
	mustExec(t, root, "INSERT INTO app.t VALUES (5)")
	awaitArchived(t, objects, pair.A)
	if s := pair.A.AwaitStatus("the passive reads", oneReads); s.DumpThreads[0].IsArchiver() {
		t.Error("the primary is read behind a closed port")
	}

	a := open(t, objects)
	if c := a.Catalog(); len(c.Gaps) > 0 || len(c.Runs) != 1 {
		t.Fatalf("%d runs, gaps %v", len(c.Runs), c.Gaps)
	}
	whole, err := a.Cut(ctx, archive.Target{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var archived list
	if err := a.Replay(ctx, whole, gtid.Set{}, &archived); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(binlogOf(t, pair.A), archived.told); diff != "" {
		t.Errorf("transactions (-primary's binary log +archive):\n%s", diff)
	}
}
