package door

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/dbpair/dbpair/internal/authority"
)

// primary is a server of another member, which greets each client.
func primary(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.(*net.TCPListener)
}

func greet(t *testing.T, server *net.TCPListener, client net.Conn, text string) *net.TCPConn {
	t.Helper()
	conn, err := server.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
	return conn
}

func TestClientsArePassedOnToThePrimaryUntilTheChangeBegins(t *testing.T) {
	other := primary(t)
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.Forward(other.Addr().String(), 1)
	if f.State().ForwardedFor <= 0 {
		t.Error("the state does not say that clients are passed on")
	}
	first := f.dial()
	there := greet(t, other, first, "the primary's")

	f.Begin(1)
	if f.State().ForwardedFor != 0 {
		t.Error("clients are passed on after the change has begun")
	}
	held := f.dial()
	f.held(1)

	// What was passed on ends with its session on the primary, and not before.
	if _, err := there.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(first, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	f.revoke()
	f.appoint()
	f.Release(3)
	greet(t, f.server, held, "the new primary's")
	_ = there.Close()
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the session that was passed on is still there")
	}
}

func TestWhatEndsPassingOn(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"a newer epoch": func(f *fixture) { f.Follow(holder(2, "shop-0", authority.Shut)) },
		"Cancel":        (*fixture).Cancel,
	} {
		t.Run(name, func(t *testing.T) {
			other := primary(t)
			f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
			f.Forward(other.Addr().String(), 1)
			end(f)
			f.refused(f.dial())
		})
	}
}

// TestAPrimaryThatDoesNotAnswerIsNotAskedAgain: a client that came meanwhile is held as soon as
// the roles change.
func TestAPrimaryThatDoesNotAnswerIsNotAskedAgain(t *testing.T) {
	other := primary(t)
	address := other.Addr().String()
	_ = other.Close()
	f := open(t, Policy{Mode: Hold, HoldTimeout: long, MaxHeld: 10})
	f.Forward(address, 1)
	f.refused(f.dial())
	if f.State().ForwardedFor != 0 {
		t.Error("clients are passed on to a server that is not there")
	}
	f.revoke()
	client := f.dial()
	f.held(1)
	f.appoint()
	f.Release(3)
	greet(t, f.server, client, "the new primary's")
}

func TestWithoutHoldingNobodyIsPassedOn(t *testing.T) {
	f := open(t, Policy{Mode: Error})
	f.Forward(primary(t).Addr().String(), 1)
	f.refused(f.dial())
}

func dialForward(ctx context.Context, address string) (*net.TCPConn, error) {
	return DialTo(address)(ctx)
}
