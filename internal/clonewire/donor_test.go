package clonewire

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// closesFirst is a context whose end reaches only the first that waits for it, as when the others
// have not had their turn yet.
type closesFirst struct {
	context.Context
	ended chan struct{}

	mu    sync.Mutex
	first func()
}

func (c *closesFirst) Done() <-chan struct{} { return c.ended }

func (c *closesFirst) Err() error {
	select {
	case <-c.ended:
		return context.Canceled
	default:
		return nil
	}
}

// AfterFunc is what package context asks of a context that is not its own.
func (c *closesFirst) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first = f
	}
	return func() bool { return true }
}

func (c *closesFirst) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ended)
	c.first()
}

// The listener is closed by one that waits for the end of the context, and what the donor derives
// from the context is ended by another.
func TestADonorThatIsEndedReturnsNoError(t *testing.T) {
	dir := t.TempDir()
	if err := mysqldtest.WriteCerts(dir); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	donor := Donor{
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone.Reveal(),
		TLS: tlsOf(t, mysqlops.TLSFiles{
			CA:   dir + "/ca.crt",
			Cert: dir + "/tls.crt",
			Key:  dir + "/tls.key",
		}),
		Source: made(t, 1),
	}
	ctx := &closesFirst{Context: context.Background(), ended: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- donor.Serve(ctx, listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatalf("no greeting: %v", err)
	}
	ctx.end()
	_ = conn.Close()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}
