package mysqlops_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// A replica that has a transaction already skips it and does not acknowledge
// it again, so that a commit whose acknowledgement was lost waits for the next
// one. The first half shows the wait, the second that a heartbeat ends it.
func TestHeartbeatReleasesACommitWhoseAcknowledgementWasLost(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	b := pair.B.Ops
	// B receives without acknowledging: the acknowledgement is lost.
	if err := b.SetReplicaAcknowledges(ctx, false); err != nil {
		t.Fatal(err)
	}
	pair.A.AwaitStatus("nobody acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 0 && len(s.DumpThreads) == 1 })
	done := goExec(t, client, "INSERT INTO app.t VALUES (2, 2)")
	waiting := pair.A.AwaitStatus("a commit waits", commitWaits)
	pair.B.AwaitStatus("received", func(s mysqlops.Status) bool {
		return s.Received.Covers(waiting.Binlog) && s.Executed.Covers(waiting.Binlog)
	})
	if err := b.SetReplicaAcknowledges(ctx, true); err != nil {
		t.Fatal(err)
	}
	pair.A.AwaitStatus("the peer acknowledges again", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 1 })
	select {
	case err := <-done:
		t.Fatalf("the commit did not wait for anything: %v", err)
	case <-time.After(2 * time.Second):
	}
	if err := pair.A.Ops.CommitHeartbeat(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the waiting commit: %v", err)
	}
}

func TestHeartbeatsDoNotPileUp(t *testing.T) {
	pair, _ := openPair(t)
	if err := pair.B.Ops.StopReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for range cap(results) {
		go func() { results <- pair.A.Ops.CommitHeartbeat(ctx, 0) }()
	}
	refused := 0
	for range cap(results) {
		err := <-results
		switch {
		case errors.Is(err, mysqlops.ErrCommitsWaiting):
			refused++
		case !errors.Is(err, mysqlops.ErrDeadline):
			t.Errorf("heartbeat: %v, want ErrDeadline or ErrCommitsWaiting", err)
		}
	}
	if refused == 0 {
		t.Error("ten heartbeats were let through")
	}
	if err := pair.B.Ops.CommitHeartbeat(t.Context(), 1); !errors.Is(err, mysqlops.ErrReadOnly) {
		t.Errorf("on the passive: %v, want ErrReadOnly", err)
	}
}

func TestForeignReadersOfTheBinlogAreCut(t *testing.T) {
	pair, _ := openPair(t)
	ctx := t.Context()
	mustExec(t, pair.A.Root(), "CREATE USER spy@'%' IDENTIFIED BY 'x'", "GRANT REPLICATION SLAVE ON *.* TO spy@'%'")
	spy := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1})
	source := pair.A.SourceOf(spy.TLSFiles())
	source.User, source.Password, source.Port = "spy", mysqlops.NewSecret("x"), pair.A.Member.Port
	if _, err := spy.Ops.ConfigureChannel(ctx, source, false); err != nil {
		t.Fatal(err)
	}
	if err := spy.Ops.StartReceiver(ctx); err != nil {
		t.Fatal(err)
	}
	status := pair.A.AwaitStatus("two readers", func(s mysqlops.Status) bool { return len(s.DumpThreads) == 2 })
	cut, err := pair.A.Ops.CutForeignDumpThreads(ctx, mysqlops.UserReplication, "")
	if err != nil || len(cut) != 1 || cut[0].User != "spy" {
		t.Errorf("cut %+v of %+v, %v", cut, status.DumpThreads, err)
	}
	spyStatus, err := spy.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// With the right account and another UUID it is foreign all the same.
	cut, err = pair.A.Ops.CutForeignDumpThreads(ctx, mysqlops.UserReplication, spyStatus.ServerUUID)
	if err != nil || len(cut) == 0 {
		t.Errorf("cut %+v, %v", cut, err)
	}
}

func TestPurgeKeepsWhatThePeerLacks(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	root := pair.A.Root()
	for i := range 3 {
		mustExec(t, client, fmt.Sprintf("INSERT INTO app.t VALUES (%d, 0)", 10+i))
		mustExec(t, root, "FLUSH BINARY LOGS")
	}
	peer, err := pair.B.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	limits := mysqlops.PurgeLimits{MaxBytes: 1}
	got, err := pair.A.Ops.PurgeBinlogs(ctx, limits)
	if err != nil || got.Left == 0 {
		t.Errorf("purge %+v, %v", got, err)
	}
	status, err := pair.A.Ops.Status(ctx)
	if err != nil || !status.Purged.IsEmpty() {
		t.Errorf("purged %v that the peer is not known to have, %v", status.Purged, err)
	}
	limits.Received = peer.Received
	got, err = pair.A.Ops.PurgeBinlogs(ctx, limits)
	if err != nil || got.Files == 0 {
		t.Errorf("purge %+v, %v", got, err)
	}
	status, err = pair.A.Ops.Status(ctx)
	if err != nil || status.Purged.IsEmpty() || !peer.Received.Covers(status.Purged) {
		t.Errorf("purged %v, %v", status.Purged, err)
	}
	limits = mysqlops.PurgeLimits{MaxAge: time.Hour, Received: status.Executed}
	got, err = pair.A.Ops.PurgeBinlogs(ctx, limits)
	if err != nil || got.Files != 0 {
		t.Errorf("purge of young files %+v, %v", got, err)
	}
}

// TestBinaryLogsThatAreNotArchivedStay: up to the backlog, and not beyond it.
func TestBinaryLogsThatAreNotArchivedStay(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	executed := func() gtid.Set {
		t.Helper()
		status, err := member.Ops.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status.Executed
	}
	purge := func(limits mysqlops.PurgeLimits) gtid.Set {
		t.Helper()
		limits.MaxBytes = 1
		limits.WithoutPeer = true
		if _, err := member.Ops.PurgeBinlogs(t.Context(), limits); err != nil {
			t.Fatal(err)
		}
		status, err := member.Ops.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status.Purged
	}
	write := func(statement string) {
		t.Helper()
		for _, one := range []string{statement, "FLUSH BINARY LOGS"} {
			if _, err := member.Root().ExecContext(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("CREATE TABLE app.t (id INT PRIMARY KEY)")
	archived := executed()
	write("INSERT INTO app.t VALUES (1)")
	write("INSERT INTO app.t VALUES (2)")
	const large = 1 << 40
	if purged := purge(mysqlops.PurgeLimits{Backlog: large}); !purged.IsEmpty() {
		t.Errorf("purged %s, and nothing is archived", purged)
	}
	if purged := purge(mysqlops.PurgeLimits{Backlog: large, Archived: archived}); !purged.Equal(archived) {
		t.Errorf("purged %s, archived is %s", purged, archived)
	}
	if purged := purge(mysqlops.PurgeLimits{Backlog: 1, Archived: archived}); !purged.Equal(executed()) {
		t.Errorf("purged %s beyond the backlog, executed is %s", purged, executed())
	}
}

func TestTLSIsReloaded(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	member.Open(false)
	key, err := os.ReadFile(member.TLSFiles().Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(member.TLSFiles().Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := member.Ops.ReloadTLS(ctx); err == nil || strings.Contains(err.Error(), string(key)) {
		t.Errorf("with a broken key: %v", err)
	}
	if err := mysqldtest.WriteCerts(member.Member.TLSDir); err != nil {
		t.Fatal(err)
	}
	member.OwnFiles()
	if err := member.Ops.ReloadTLS(ctx); err != nil {
		t.Fatal(err)
	}
	for _, admin := range []bool{true, false} {
		user := mysqlops.UserMonitor
		password := mysqldtest.Passwords.Monitor
		if err := member.Client(user, password, admin).PingContext(ctx); err != nil {
			t.Errorf("with the new CA, admin port %t: %v", admin, err)
		}
	}
}

func TestErrorsNameWhatHappened(t *testing.T) {
	ops := mysqlops.Open(mysqlops.Config{Socket: "/nowhere/s"})
	defer ops.Disconnect()
	if err := ops.Ping(t.Context()); !errors.Is(err, mysqlops.ErrRefused) {
		t.Errorf("without a socket: %v, want ErrRefused", err)
	}
	member := mysqldtest.Start(t, mysqldtest.Options{})
	wrong := mysqlops.Open(mysqlops.Config{Socket: member.Member.Socket, Password: func() mysqlops.Secret { return mysqlops.NewSecret("hunter2") }})
	defer wrong.Disconnect()
	if err := wrong.Ping(t.Context()); !errors.Is(err, mysqlops.ErrAccessDenied) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("with a wrong password: %v, want ErrAccessDenied", err)
	}
	if err := member.Ops.StopReceiver(t.Context()); err != nil {
		t.Errorf("stopping a receiver without a channel: %v", err)
	}
	if err := member.Ops.StartReceiver(t.Context()); !errors.Is(err, mysqlops.ErrNoChannel) {
		t.Errorf("starting a receiver without a channel: %v, want ErrNoChannel", err)
	}
	if err := member.Ops.ResetReplicaAll(t.Context(), false); err != nil {
		t.Errorf("resetting without a channel: %v", err)
	}
	member.Kill()
	if err := member.Ops.Ping(t.Context()); !errors.Is(err, mysqlops.ErrRefused) {
		t.Errorf("of a dead mysqld: %v, want ErrRefused", err)
	}
}
