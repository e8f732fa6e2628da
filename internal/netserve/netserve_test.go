package netserve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/dbpair/dbpair/internal/netserve"
)

// TestConnectionsAreBoundedAndEndWithTheContext: with one slot the second connection is served when
// the first has ended, and the end of the context ends the one that is open.
func TestConnectionsAreBoundedAndEndWithTheContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{}, 2)
	ended := make(chan error, 1)
	go func() {
		ended <- netserve.Serve(ctx, listener, 1, func(ctx context.Context, conn net.Conn) {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			begun <- struct{}{}
			_, _ = io.Copy(io.Discard, conn)
		})
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := dial()
	<-begun
	second := dial()
	defer second.Close()
	select {
	case <-begun:
		t.Error("the second connection is served beside the first")
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	<-begun
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end of the context is an error: %v", err)
	}
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the second connection is open after the end")
	}
	if conn, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open after the end: %v, %v", conn, err)
	}
}

func TestAListenerThatFailsIsAnError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := netserve.Serve(t.Context(), listener, 1, func(context.Context, net.Conn) {}); err == nil {
		t.Error("no error of a listener that is closed")
	}
}
