package mysqldtest

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Pair is two members that replicate from each other, both closed at first.
type Pair struct {
	A, B *Instance
}

// StartPair starts two members with the same accounts and history and connects
// A's binlog to B. B's receiver streams when it returns; A's channel is not
// configured.
func StartPair(tb testing.TB) Pair {
	tb.Helper()
	pair := Pair{A: Start(tb, Options{Ordinal: 0}), B: Start(tb, Options{Ordinal: 1})}
	pair.B.Follow(pair.A)
	return pair
}

// SourceOf is what a channel that reads i needs to know; files are the reader's.
func (i *Instance) SourceOf(files mysqlops.TLSFiles) mysqlops.Source {
	return mysqlops.Source{
		Host:     "127.0.0.1",
		Port:     i.Member.AdminPort,
		User:     mysqlops.UserReplication,
		Password: Passwords.Replication,
		TLS:      files,
	}
}

// Follow points i's channel at source and waits until it streams.
func (i *Instance) Follow(source *Instance) {
	i.tb.Helper()
	ctx := i.tb.Context()
	if _, err := i.Ops.ConfigureChannel(ctx, source.SourceOf(i.TLSFiles()), false); err != nil {
		i.tb.Fatal(err)
	}
	if err := i.Ops.StartApplier(ctx); err != nil {
		i.tb.Fatal(err)
	}
	if err := i.Ops.StartReceiver(ctx); err != nil {
		i.tb.Fatal(err)
	}
	i.AwaitStatus("receiver streams", func(s mysqlops.Status) bool { return s.Channel.Receiver == mysqlops.ReceiverStreaming })
}

// Open opens i for writes, waiting for acknowledgements or not.
func (i *Instance) Open(waiting bool) {
	i.tb.Helper()
	if err := i.Ops.OpenReadWrite(i.tb.Context(), mycnf.Expect(i.Member, mycnf.State{}), waiting); err != nil {
		i.tb.Fatal(err)
	}
}

// AwaitStatus polls until fine holds and returns that status.
func (i *Instance) AwaitStatus(what string, fine func(mysqlops.Status) bool) mysqlops.Status {
	i.tb.Helper()
	var last mysqlops.Status
	var failure error
	i.tb.Cleanup(func() {
		if i.tb.Failed() {
			i.tb.Logf("waiting for %q last saw %+v, %v", what, last, failure)
		}
	})
	Await(i.tb, what, func() bool {
		last, failure = i.Ops.Status(i.tb.Context())
		return failure == nil && fine(last)
	})
	return last
}

// Await polls until fine holds and fails the test when that takes too long.
func Await(tb testing.TB, what string, fine func() bool) {
	tb.Helper()
	deadline := time.Now().Add(2 * patience)
	for !fine() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// EndSessions ends all sessions of an account, as someone who tidies up would.
func EndSessions(tb testing.TB, db *sql.DB, user string) {
	tb.Helper()
	for _, id := range SessionIDs(tb, db, "SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE PROCESSLIST_USER = ?", user) {
		_, _ = db.Exec(fmt.Sprintf("KILL %d", id)) // it may have gone
	}
}

// SessionIDs are what a query about sessions, with one column of numbers, finds.
func SessionIDs(tb testing.TB, db *sql.DB, query string, args ...any) (ids []int64) {
	tb.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return ids
}
