package agent_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// holdLong is a time of holding that ends with the test and not before.
const holdLong = 10 * time.Minute

// holds configures both members' doors, before the pair is made.
func (w *world) holds(timeout time.Duration, most int) {
	for _, m := range w.members {
		m.configure(func(c *agentapi.Config) {
			c.OnRoleChange = agentapi.OnRoleChangeHold
			c.HoldTimeout = timeout
			c.MaxHeld = most
		})
	}
	chown(w.t, w.dir)
}

// door is plain SQL over TLS through the member's door.
func (m *member) door() *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User = "app"
	cfg.Passwd = "app-secret"
	cfg.Net = "tcp"
	cfg.Addr = m.addr("door")
	cfg.DBName = "app"
	cfg.TLSConfig = "skip-verify"
	cfg.Timeout = patience
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		m.w.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	m.w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// query runs one query through the door and reports its error.
func (m *member) query() <-chan error {
	out := make(chan error, 1)
	db := m.door()
	go func() {
		ctx, cancel := context.WithTimeout(m.w.t.Context(), patience)
		defer cancel()
		var cipher, name string
		err := db.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher)
		if err == nil && cipher == "" {
			err = errors.New("the relayed session has no TLS")
		}
		out <- err
	}()
	return out
}

func isRefusal(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && refused.Number == 1053
}

func held(n int) func(agentapi.State) bool {
	return func(s agentapi.State) bool { return s.Door != nil && s.Door.Held == n }
}

func TestAClientIsHeldThroughAFailoverAndServedByTheNewPrimary(t *testing.T) {
	w := newWorld(t)
	w.holds(holdLong, 2)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	if err := <-b.query(); !isRefusal(err) {
		t.Fatalf("a client of a door while roles do not change got %v", err)
	}
	a.killMysqld()
	w.revoke()
	if _, err := b.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head()}); err != nil {
		t.Fatal(err)
	}
	first := b.query()
	second := b.query()
	b.awaitState("two are held", patience, held(2))
	if err := <-b.query(); !isRefusal(err) {
		t.Errorf("a client beyond maxHeld got %v", err)
	}
	if _, err := a.client.ReadLease(t.Context(), w.head()); err != nil { // it learns of the revocation
		t.Fatal(err)
	}
	gone, err := net.Dial("tcp", a.addr("door"))
	if err != nil {
		t.Fatal(err)
	}
	a.awaitState("one is held by the former primary", patience, held(1))
	_ = gone.Close()
	a.awaitState("and forgotten", patience, held(0))

	w.failover(a, b)
	if s := b.now(); s.Door.Held != 2 || s.Door.Relayed != 0 {
		t.Fatalf("before the release: %+v", s.Door)
	}
	if _, err := b.client.ReleaseHeld(t.Context(), w.head()); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []<-chan error{first, second, b.query()} {
		if err := <-answer; err != nil {
			t.Errorf("a client that was held got %v", err)
		}
	}
	if s := b.awaitState("nobody is held", patience, held(0)); s.Door.Released != s.OpenEpoch || s.Door.LongestHold <= 0 {
		t.Errorf("%+v at epoch %d", s.Door, s.OpenEpoch)
	}
	if err := <-a.query(); !isRefusal(err) {
		t.Errorf("a client of the former primary's door got %v", err)
	}
}

func TestHeldClientsAreRefusedWhenTheTimeIsOver(t *testing.T) {
	w := newWorld(t)
	w.holds(300*time.Millisecond, 10)
	w.bootstrap()
	b := w.members[1]
	w.revoke()
	if _, err := b.client.AckFence(t.Context(), agentapi.AckFenceCommand{Command: w.head()}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the second and third at once, since the time is one for all
		if err := <-b.query(); !isRefusal(err) {
			t.Errorf("got %v", err)
		}
	}
}

func TestADoorThatResets(t *testing.T) {
	w := newWorld(t)
	for _, m := range w.members {
		m.configure(func(c *agentapi.Config) { c.OnRoleChange = agentapi.OnRoleChangeReset })
	}
	chown(t, w.dir)
	a := w.members[0]
	a.start()
	a.awaitState("answers", patience, func(agentapi.State) bool { return true })
	conn, err := net.Dial("tcp", a.addr("door"))
	if err == nil {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}
