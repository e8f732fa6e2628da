package agent

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// fakeLimit is a max_connections that remembers.
type fakeLimit struct {
	limit int
	sets  int
	err   error
}

func (f *fakeLimit) read(context.Context) (int, error) { return f.limit, f.err }

func (f *fakeLimit) set(_ context.Context, limit int) error {
	f.limit = limit
	f.sets++
	return f.err
}

func TestTheLimitFollowsACrowdAtTheAdminPort(t *testing.T) {
	connected := 0
	limit := &fakeLimit{limit: 60}
	room := &adminRoom{
		limit:     limit.read,
		setLimit:  limit.set,
		connected: func() (int, error) { return connected, nil },
	}
	begin := time.Now()
	for _, step := range []struct {
		what      string
		at        time.Duration
		connected int
		set       int // by another hand, before the look
		want      int
	}{
		{"the pair's own", 0, adminUsual, 0, 60},
		{"a crowd", time.Second, 500, 0, 60 + 3*roomStep},
		{"the same crowd", 2 * time.Second, 510, 0, 60 + 3*roomStep},
		{"a larger one", 3 * time.Second, 600, 0, 60 + 4*roomStep},
		{"it has gone", 4 * time.Second, 0, 0, 60 + 4*roomStep},
		{"a person sets the limit", 5 * time.Second, 0, 90, 90},
		{"and the crowd is back", 6 * time.Second, 100, 0, 90 + 2*roomStep},
		{"without an end", 7 * time.Second, 1 << 20, 0, 90 + roomMost},
		{"it has gone for a while", 8*time.Second + roomLinger, 0, 0, 90},
		{"for good", 9*time.Second + roomLinger, 0, 0, 90},
	} {
		connected = step.connected
		if step.set != 0 {
			limit.limit = step.set
		}
		if _, _, err := room.look(t.Context(), begin.Add(step.at)); err != nil {
			t.Fatal(err)
		}
		if limit.limit != step.want {
			t.Errorf("%s: limit %d, want %d", step.what, limit.limit, step.want)
		}
	}
}

func TestALimitThatCannotBeSetIsTriedAgain(t *testing.T) {
	limit := &fakeLimit{limit: 60, err: errors.New("no answer")}
	room := &adminRoom{
		limit:     limit.read,
		setLimit:  limit.set,
		connected: func() (int, error) { return 500, nil },
	}
	if _, _, err := room.look(t.Context(), time.Now()); err == nil {
		t.Fatal("no error")
	}
	limit.err = nil
	if added, _, err := room.look(t.Context(), time.Now()); err != nil || added != 3*roomStep || limit.limit != 60+added {
		t.Errorf("added %d to a limit of %d, %v", added, limit.limit, err)
	}
}

func TestEstablishedConnectionsAreCountedAtTheirPort(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	port := listener.Addr().(*net.TCPAddr).Port
	for want := range 4 {
		if n, err := establishedAt(port); err != nil || n != want {
			t.Fatalf("%d connections, %v; want %d", n, err, want)
		}
		client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
	}
}
