package agent

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// readersServer has this many readers left, one less at each call.
type readersServer struct {
	left    int
	failure error
	calls   int
}

func (s *readersServer) EndReaders(context.Context, string) (int, error) {
	found := s.left
	s.left = max(s.left-1, 0)
	s.calls++
	return found, s.failure
}

func (s *readersServer) EndRemovedReaders(context.Context) (int, error) { return 0, nil }

func newTestReaders(server *readersServer) *readers {
	return &readers{
		log:  logr.Discard(),
		ops:  server,
		port: door.NewReaders(func(context.Context) (*net.TCPConn, error) { return nil, errors.New("no mysqld") }, "not here"),
	}
}

func TestReadersAreWhereCommitsWaitForNobody(t *testing.T) {
	waits := mysqlops.Status{SemiSync: mysqlops.SemiSync{SourceEnabled: true}}
	for name, c := range map[string]struct {
		status  mysqlops.Status
		serving authority.Serving
		asked   bool
	}{
		"a passive":                      {mysqlops.Status{}, authority.Shut, true},
		"a passive whose source is on":   {waits, authority.Shut, false},
		"a primary that is alone":        {mysqlops.Status{}, authority.Serves, true},
		"a primary whose commits wait":   {waits, authority.Serves, false},
		"a member that opens":            {mysqlops.Status{}, authority.Opening, false},
		"a member that closes":           {mysqlops.Status{}, authority.Closing, false},
		"a member that has just started": {mysqlops.Status{}, authority.Booting, false},
	} {
		asked := false
		newTestReaders(&readersServer{}).look(t.Context(), c.status, c.serving, func() bool {
			asked = true
			return true
		})
		if asked != c.asked {
			t.Errorf("%s: the port may open: %t", name, asked)
		}
	}
}

func TestWhetherAPrimaryWaitsForNobody(t *testing.T) {
	w, _, _ := promising(t)
	before := w.changed()
	for name, c := range map[string]struct {
		on      bool
		before  int
		serving authority.Serving
		want    bool
	}{
		"it need not wait":                    {false, before, authority.Serves, true},
		"it has to, whatever mysqld says":     {true, before, authority.Serves, false},
		"it was the primary, and is not":      {true, before, authority.Shut, true},
		"that changed since mysqld was asked": {false, before - 2, authority.Serves, false},
		"mysqld was asked during a change":    {false, before + 1, authority.Shut, false},
	} {
		w.on = c.on
		if got := w.waitsForNobody(c.before, c.serving); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.waitsForNobody(before, authority.Shut) {
		t.Error("while it changes")
	}
}

func TestReadersAreEndedUntilMysqldHasNone(t *testing.T) {
	server := &readersServer{left: 3}
	if err := newTestReaders(server).end(t.Context()); err != nil || server.calls != 4 {
		t.Errorf("%v after %d calls", err, server.calls)
	}
	no := errors.New("no")
	if err := newTestReaders(&readersServer{failure: no}).end(t.Context()); !errors.Is(err, no) {
		t.Errorf("%v, want what mysqld said", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newTestReaders(&readersServer{left: 1}).end(ctx); !errors.Is(err, errReadersStay) {
		t.Errorf("%v, want errReadersStay", err)
	}
}
