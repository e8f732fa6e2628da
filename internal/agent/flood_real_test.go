package agent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// flood keeps so many connections to an address open that never say anything, until stop is
// called, and counts those that the server accepted.
func flood(ctx context.Context, address string, connections int) (accepted func() int64, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var count atomic.Int64
	var running sync.WaitGroup
	for range connections {
		running.Go(func() {
			for ctx.Err() == nil {
				floodOnce(ctx, address, &count)
			}
		})
	}
	return count.Load, func() {
		cancel()
		running.Wait()
	}
}

func floodOnce(ctx context.Context, address string, count *atomic.Int64) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		time.Sleep(50 * time.Millisecond)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	count.Add(1)
	for text := make([]byte, 4096); ; {
		if _, err := conn.Read(text); err != nil {
			return
		}
	}
}

// processOf says how many threads a member's mysqld has, and how much memory.
func (m *member) processOf() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.mysqldPID()))
	var out []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "Threads") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}

// TestAFloodOfTheAdminPortLeavesRoomForThePair: 500 connections without credentials, which
// only a cluster lets through that enforces no NetworkPolicy.
func TestAFloodOfTheAdminPortLeavesRoomForThePair(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	// A pool that keeps its one session: new ones on the socket count as clients.
	session := func(user string) *sql.DB {
		db := a.db(user)
		db.SetMaxOpenConns(1)
		return db
	}
	root := session("root")
	app := session("app")
	for _, statement := range []string{"CREATE TABLE app.f (id INT PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO app.f VALUES ()"} {
		if err := a.exec(root, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.exec(app, "INSERT INTO app.f VALUES ()"); err != nil {
		t.Fatal(err)
	}
	t.Logf("before: %s", a.processOf())
	const connections = 500
	accepted, stop := flood(t.Context(), a.addr("admin"), connections)
	defer stop()
	connected := func() (n int) {
		const query = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Threads_connected'"
		if err := root.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatalf("a session of root that was there before: %v", err)
		}
		return n
	}
	w.await("the flood is there", patience, func() bool { return connected() > connections/2 })
	t.Logf("%d connections: %s", connected(), a.processOf())

	// The passive, a Job, the agent and sessions that are there go on.
	w.reconnect(root)
	if err := a.job(mysqlops.UserChecksum, "checksum-secret").PingContext(t.Context()); err != nil {
		t.Errorf("a Job: %v", err)
	}
	for range 20 {
		if err := a.exec(app, "INSERT INTO app.f VALUES ()"); err != nil {
			t.Fatalf("a session that was there before: %v", err)
		}
	}
	fresh, err := a.client.State(t.Context(), 0, 0, true)
	if err != nil || fresh.Phase != agentapi.PhaseOpen {
		t.Errorf("the agent: phase %s, %v", fresh.Phase, err)
	}
	// The limit of clients counts what comes over the admin port, too: the agent raises it.
	for _, user := range []string{"app", "root"} {
		var last error
		w.await("a new session of "+user, patience, func() bool {
			last = a.exec(a.db(user), "SELECT 1")
			var refusal *mysql.MySQLError
			if full := errors.As(last, &refusal) && refusal.Number == 1040; last != nil && !full {
				t.Fatalf("a new session of %s: %v", user, last)
			}
			return last == nil
		})
	}
	t.Logf("%d connections beside new clients: %s", connected(), a.processOf())

	w.failover(a, b)
	if err := b.exec(b.db("app"), "INSERT INTO app.f VALUES ()"); err != nil {
		t.Errorf("the new primary: %v", err)
	}
	stop()
	t.Logf("%d connections were accepted", accepted())
}
