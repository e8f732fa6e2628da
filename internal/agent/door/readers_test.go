package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

// readersPort is a port of readers with a server behind it.
type readersPort struct {
	*Readers
	t       *testing.T
	address string
	server  *net.TCPListener
}

func openReaders(t *testing.T) *readersPort {
	t.Helper()
	server, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &readersPort{
		Readers: NewReaders(DialFrom(mysqlops.ReaderHost, server.Addr().String()), "read at the passive"),
		t:       t,
		address: listener.Addr().String(),
		server:  server.(*net.TCPListener),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-served
		p.End()
		_ = server.Close()
	})
	return p
}

func (p *readersPort) dial() net.Conn {
	p.t.Helper()
	conn, err := net.DialTimeout("tcp", p.address, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (p *readersPort) accept() *net.TCPConn {
	p.t.Helper()
	_ = p.server.SetDeadline(time.Now().Add(patience))
	conn, err := p.server.AcceptTCP()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (p *readersPort) awaitEmpty() {
	p.t.Helper()
	for end := time.Now().Add(patience); !p.Empty(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("a reader is still there")
		}
	}
}

func always() bool { return true }

func TestReadersAreRefusedUntilThePortIsOpen(t *testing.T) {
	p := openReaders(t)
	for name, change := range map[string]func(){
		"new":                       func() {},
		"opened and closed":         func() { p.Open(always); p.Close() },
		"opened when it may not":    func() { p.Open(func() bool { return false }) },
		"open, and then it may not": func() { p.Open(always); p.Open(func() bool { return false }) },
	} {
		change()
		if text, err := io.ReadAll(p.dial()); err != nil || !bytes.Contains(text, []byte("read at the passive")) {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
	}
}

func TestAReaderIsRelayedFromTheAddressOfReaders(t *testing.T) {
	p := openReaders(t)
	p.Open(always)
	client := p.dial()
	server := p.accept()
	from := server.RemoteAddr().(*net.TCPAddr)
	if from.IP.String() != mysqlops.ReaderHost {
		t.Errorf("mysqld sees %s", from)
	}
	if _, err := server.Write([]byte("greeting")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "greeting" {
		t.Fatalf("got %q, %v", got, err)
	}
	if of := p.ClientOf(from.Port); of != client.LocalAddr().String() {
		t.Errorf("the client is %q, want %s", of, client.LocalAddr())
	}
	if p.Empty() {
		t.Error("nobody is there")
	}
	_ = client.Close()
	if _, err := server.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("mysqld is not told that the reader is gone: %v", err)
	}
	p.awaitEmpty()
}

// mysqld may still obey what it has in its buffer: until it has hung up, the reader is there.
func TestAClosedPortIsEmptyWhenMysqldHasHungUp(t *testing.T) {
	p := openReaders(t)
	p.Open(always)
	client := p.dial()
	server := p.accept()
	if _, err := server.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != nil { // it is let through
		t.Fatal(err)
	}
	p.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the reader is not cut")
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("mysqld's end: %v, want EOF", err)
	}
	time.Sleep(2 * partLimit)
	if p.Empty() {
		t.Error("empty while mysqld has the session")
	}
	_ = server.Close()
	p.awaitEmpty()
}

func TestAReaderIsRefusedWithoutMysqld(t *testing.T) {
	p := openReaders(t)
	_ = p.server.Close()
	p.Open(always)
	if text, err := io.ReadAll(p.dial()); err != nil || !bytes.Contains(text, []byte("read at the passive")) {
		t.Errorf("got %q, %v", text, err)
	}
	p.awaitEmpty()
}

func TestAPortThatIsClosedWhileItDialsLetsNobodyThrough(t *testing.T) {
	p := openReaders(t)
	dial := p.Readers.dial
	p.Readers.dial = func(ctx context.Context) (*net.TCPConn, error) {
		p.Close()
		return dial(context.WithoutCancel(ctx))
	}
	p.Open(always)
	if text, err := io.ReadAll(p.dial()); err == nil && !bytes.Contains(text, []byte("read at the passive")) {
		t.Errorf("got %q", text)
	}
	p.awaitEmpty()
}
