package door

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func listen(t *testing.T, d *Door) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { _ = d.Serve(listener) }()
	return listener.Addr().String()
}

func TestAClientReadsWhyItIsTurnedAway(t *testing.T) {
	d := New("pair shop accepts no writes at the moment")
	addr := listen(t, d)
	db, err := sql.Open("mysql", "app:x@tcp("+addr+")/app?timeout=1m")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var refused *mysql.MySQLError
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); !errors.As(err, &refused) {
		t.Fatalf("want an error packet, got %v", err)
	}
	if refused.Number != errorNumber || !strings.Contains(refused.Message, "pair shop") {
		t.Errorf("got %d %q", refused.Number, refused.Message)
	}
}

func TestAResetIsAReset(t *testing.T) {
	d := New("no")
	d.Reset.Store(true)
	conn, err := net.Dial("tcp", listen(t, d))
	if err != nil {
		if errors.Is(err, syscall.ECONNRESET) {
			return
		}
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("want a reset, got %v", err)
	}
}

func TestSilentClientsKeepNobodyOut(t *testing.T) {
	addr := listen(t, New("no"))
	for range 2 * lingers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 64)); err != nil || n == 0 {
		t.Errorf("no answer behind silent clients: %v", err)
	}
}
