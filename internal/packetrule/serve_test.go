package packetrule

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSource is what an agent knows.
type fakeSource struct {
	mu       sync.Mutex
	ports    []uint16
	revision int64
	news     chan struct{}
	// reported are the last answers; what nobody reads is left out.
	reported chan string
}

func newFakeSource() *fakeSource {
	return &fakeSource{
		news:     make(chan struct{}),
		reported: make(chan string, 1000),
	}
}

func (s *fakeSource) Report(problem string) {
	select {
	case s.reported <- problem:
	default:
	}
}

// awaitReport waits until the container answers with a problem that has these words, or that there is none.
func (s *fakeSource) awaitReport(t *testing.T, words ...string) {
	t.Helper()
	limit := time.After(patience)
	var last string
	for {
		select {
		case last = <-s.reported:
			missing := slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(last, word) })
			if (len(words) == 0) == (last == "") && !missing {
				return
			}
		case <-limit:
			t.Fatalf("the last answer is %q, want %q", last, words)
		}
	}
}

func (s *fakeSource) set(ports ...uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = ports
	s.revision++
	close(s.news)
	s.news = make(chan struct{})
}

func (s *fakeSource) Refused() ([]uint16, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports, s.revision
}

func (s *fakeSource) Wait(done <-chan struct{}, revision int64, limit time.Duration) {
	s.mu.Lock()
	news := s.news
	now := s.revision
	s.mu.Unlock()
	if now != revision {
		return
	}
	select {
	case <-news:
	case <-done:
	case <-time.After(limit):
	}
}

func TestWhatIsRefusedIsSaidAtOnceAndRenewed(t *testing.T) {
	source := newFakeSource()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, listener, source) }()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(conn)
	next := func() []uint16 {
		t.Helper()
		var says order
		if err := lines.Decode(&says); err != nil {
			t.Fatal(err)
		}
		return says.Ports
	}
	// await reads until the agent says this. A renewal may come in between.
	await := func(ports ...uint16) {
		t.Helper()
		for range 100 {
			if cmp.Equal(next(), ports) {
				return
			}
		}
		t.Fatalf("the agent does not say %v", ports)
	}
	if got := next(); len(got) != 0 {
		t.Errorf("the first line says %v, want nothing", got)
	}
	source.set(3306)
	await(3306)
	source.set(3306, 7306)
	await(3306, 7306)
	// Nothing changes.
	if diff := cmp.Diff([]uint16{3306, 7306}, next()); diff != "" {
		t.Error("renewal:", diff)
	}
	source.set()
	await()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	var says order
	for range 100 {
		if err := lines.Decode(&says); err != nil {
			return
		}
	}
	t.Error("the connection outlives the agent's end")
}

// The agent learns in the kernel's words that there is no rule, and that there is one.
func TestTheAgentLearnsWhyTheKernelRefusesNobody(t *testing.T) {
	source := newFakeSource()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, endAgent := context.WithCancel(t.Context())
	defer endAgent()
	go func() { _ = Serve(ctx, listener, source) }()
	kernel := newFakeRule()
	kernel.fail("install", errors.New("operation not supported"))
	end, ended := begin(t, newFollower(socket, kernel))
	defer end()
	source.awaitReport(t, "NET_ADMIN", "nf_tables", "operation not supported")
	kernel.fail("install", nil)
	source.awaitReport(t)
	kernel.fail("refuse", errors.New("no such file or directory"))
	source.set(3306)
	source.awaitReport(t, "no such file or directory")
	kernel.fail("refuse", nil)
	source.awaitReport(t)
	end()
	endAgent()
	await(t, "the end", ended)
}
