package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAwaitDeafReturnsWhenTheListenerIsClosed(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "mysqld.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- AwaitDeaf(t.Context(), socket) }()

	// Another file that goes, and the socket's own name that is taken away and put back.
	other := filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Remove(other), os.Rename(socket, other), os.Rename(other, socket)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("returned while someone listens: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = listener.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the closed listener is not noticed")
	}
}

func TestAwaitDeafSeesAListenerThatIsClosedAfterItsFileIsRemoved(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mysqld.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- AwaitDeaf(t.Context(), socket) }()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("returned while someone listens: %v", err)
	case <-time.After(2 * askLast):
	}
	_ = listener.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAwaitDeafSeesAListenerThatIsGoneAlready(t *testing.T) {
	if err := AwaitDeaf(t.Context(), filepath.Join(t.TempDir(), "mysqld.sock")); err != nil {
		t.Fatal(err)
	}
}

func TestAwaitDeafEndsWithItsContext(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mysqld.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- AwaitDeaf(ctx, socket) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("returned %v", err)
	}
}
