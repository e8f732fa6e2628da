package packetrule

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// fakeRule notes what it is asked for.
type fakeRule struct {
	did chan []string

	mu       sync.Mutex
	steps    []string
	problems map[string]error // by the name of what fails
}

func newFakeRule() *fakeRule {
	return &fakeRule{
		did:      make(chan []string, 1000),
		problems: map[string]error{},
	}
}

// fail has install or refuse fail from now on, or work again.
func (r *fakeRule) fail(what string, problem error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems[what] = problem
}

func (r *fakeRule) problem(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problems[what]
}

func (r *fakeRule) note(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step)
	select {
	case r.did <- append([]string(nil), r.steps...):
	default: // nobody waits for so many
	}
}

func (r *fakeRule) install() error {
	r.note("install")
	return r.problem("install")
}

func (r *fakeRule) refuse(ports []uint16, _ time.Duration) error {
	text, _ := json.Marshal(ports)
	r.note("refuse " + string(text))
	return r.problem("refuse")
}

func (r *fakeRule) refusals() (uint64, error) { return 0, nil }

func (r *fakeRule) remove() error {
	r.note("remove")
	return nil
}

// await waits until these were the steps.
func (r *fakeRule) await(t *testing.T, want ...string) {
	t.Helper()
	limit := time.After(patience)
	var got []string
	for {
		select {
		case got = <-r.did:
			if cmp.Equal(got, want) {
				return
			}
		case <-limit:
			t.Fatalf("the rule (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

// fakeAgent says what a test has it say.
type fakeAgent struct {
	t      *testing.T
	socket string
	net.Listener
}

func newFakeAgent(t *testing.T) *fakeAgent {
	t.Helper()
	a := &fakeAgent{t: t, socket: filepath.Join(t.TempDir(), "agent.sock")}
	a.listen()
	t.Cleanup(func() { _ = a.Listener.Close() })
	return a
}

func (a *fakeAgent) listen() {
	a.t.Helper()
	var err error
	if a.Listener, err = Listen(a.t.Context(), a.socket); err != nil {
		a.t.Fatal(err)
	}
}

func (a *fakeAgent) accept() net.Conn {
	a.t.Helper()
	conn, err := a.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (a *fakeAgent) say(conn net.Conn, ports ...uint16) {
	a.t.Helper()
	if err := json.NewEncoder(conn).Encode(order{Ports: ports}); err != nil {
		a.t.Fatal(err)
	}
}

// begin runs a follower until the test ends it. ended is closed when it has.
func begin(t *testing.T, f *follower) (end context.CancelFunc, ended chan struct{}) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx)
	}()
	return end, ended
}

func newFollower(socket string, r rule) *follower {
	return &follower{
		log:    logr.Discard(),
		socket: socket,
		rule:   r,
		pause:  time.Millisecond,
		lease:  patience,
	}
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("waited in vain for", what)
	}
}

func TestTheRuleIsAsTheAgentSays(t *testing.T) {
	agent := newFakeAgent(t)
	kernel := newFakeRule()
	end, ended := begin(t, newFollower(agent.socket, kernel))
	defer end()
	conn := agent.accept()
	kernel.await(t, "install")
	// Nothing is refused, and nothing has to be done for that.
	agent.say(conn)
	agent.say(conn, 3306)
	kernel.await(t, "install", "refuse [3306]")
	// The same again is the renewal.
	agent.say(conn, 3306)
	agent.say(conn, 3306, 7306)
	agent.say(conn)
	agent.say(conn)
	agent.say(conn, 7306)
	kernel.await(t, "install", "refuse [3306]", "refuse [3306]", "refuse [3306,7306]", "refuse null", "refuse [7306]")

	end()
	_ = agent.Listener.Close()
	_ = conn.Close()
	await(t, "the end", ended)
}

func TestAnAgentThatEndsRefusesNobody(t *testing.T) {
	agent := newFakeAgent(t)
	kernel := newFakeRule()
	end, ended := begin(t, newFollower(agent.socket, kernel))
	defer end()
	conn := agent.accept()
	agent.say(conn, 3306)
	kernel.await(t, "install", "refuse [3306]")
	_ = conn.Close()
	kernel.await(t, "install", "refuse [3306]", "refuse null", "install")
	// It is back.
	agent.say(agent.accept(), 7306)
	kernel.await(t, "install", "refuse [3306]", "refuse null", "install", "refuse [7306]")
	_ = agent.Listener.Close()
	end()
	// It says nothing any more, and it has not hung up: the follower stays.
	select {
	case <-ended:
		t.Error("the rule was left while the agent is there")
	case <-time.After(20 * time.Millisecond):
	}
}

func TestAnAgentThatSaysNothingRefusesNobody(t *testing.T) {
	agent := newFakeAgent(t)
	kernel := newFakeRule()
	f := newFollower(agent.socket, kernel)
	f.lease = 50 * time.Millisecond
	end, ended := begin(t, f)
	conn := agent.accept()
	agent.say(conn, 3306)
	kernel.await(t, "install", "refuse [3306]", "refuse null", "install")
	end()
	_ = agent.Listener.Close()
	await(t, "the end", ended)
}

// A pod that ends has its agent refuse clients to the last: the roles change meanwhile.
func TestAskedToEndTheRuleStaysUntilTheAgentHasEnded(t *testing.T) {
	agent := newFakeAgent(t)
	kernel := newFakeRule()
	end, ended := begin(t, newFollower(agent.socket, kernel))
	conn := agent.accept()
	agent.say(conn)
	end()
	agent.say(conn, 3306)
	kernel.await(t, "install", "refuse [3306]")
	_ = agent.Listener.Close()
	_ = conn.Close()
	kernel.await(t, "install", "refuse [3306]", "refuse null", "remove")
	await(t, "the end", ended)
}

func TestAKernelWithoutTheRuleIsAskedAgainAndReportedOnce(t *testing.T) {
	agent := newFakeAgent(t)
	kernel := newFakeRule()
	kernel.fail("install", errors.New("not supported"))
	var mu sync.Mutex
	var lines []string
	f := newFollower(agent.socket, kernel)
	f.log = funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, args)
	}, funcr.Options{})
	end, ended := begin(t, f)
	for range 3 {
		agent.accept()
	}
	kernel.await(t, "install", "install", "install")
	end()
	_ = agent.Listener.Close()
	await(t, "the end", ended)
	mu.Lock()
	defer mu.Unlock()
	said := 0
	for _, line := range lines {
		if strings.Contains(line, "NET_ADMIN") && strings.Contains(line, "not supported") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("the reason was logged %d times, want once:\n%s", said, strings.Join(lines, "\n"))
	}
}

func TestTheSocketIsThereForTheGroup(t *testing.T) {
	agent := newFakeAgent(t)
	// A process that was killed leaves its socket.
	agent.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = agent.Listener.Close()
	agent.listen()
	info, err := os.Stat(agent.socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), fs.FileMode(0o660); got != want {
		t.Errorf("permissions %v, want %v", got, want)
	}
}

func TestOwnAddresses(t *testing.T) {
	got, err := ownAddresses("10.244.1.7,fd00::7")
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, p := range got {
		text = append(text, p.String())
	}
	if diff := cmp.Diff([]string{"127.0.0.0/8", "::1/128", "10.244.1.7/32", "fd00::7/128"}, text); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"", "10.244.1.7,", "shop-0"} {
		if _, err := ownAddresses(wrong); err == nil || !strings.Contains(err.Error(), "POD_IPS") {
			t.Errorf("%q: got %v, want an error that names POD_IPS", wrong, err)
		}
	}
}
