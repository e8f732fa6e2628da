package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Server is what the real mysqld and the model have in common.
type Server interface {
	// Status of a mysqld that runs; an error from one that has ended.
	Status(ctx context.Context) (mysqlops.Status, error)
	// Open opens a closed member for clients; with waiting, commits wait for an acknowledgement.
	Open(ctx context.Context, waiting bool) error
	// Fence closes it softly and says what it reached.
	Fence(ctx context.Context) (mysqlops.Fenced, error)
	// StartWaiting and StopWaiting switch the waiting of an open member. What waits goes on when
	// it is stopped.
	StartWaiting(ctx context.Context) error
	StopWaiting(ctx context.Context, soloVersion uint64) error
	// StartReceiver and StopReceiver are about the channel from the other member.
	StartReceiver(ctx context.Context) error
	StopReceiver(ctx context.Context) error
	StartApplier(ctx context.Context) error
	StopApplier(ctx context.Context) error
}

// Member is one mysqld under test.
type Member struct {
	Server
	// Commit runs one transaction of a client, in the background. The channel delivers the
	// client's answer once; a refusal comes on it too.
	Commit func() <-chan error
	// Kill is SIGKILL; Boot starts mysqld closed and waits until it answers.
	Kill, Boot func()
	// Replicate points the channel of this member at another one, and starts nothing.
	Replicate func(source *Member) error
	// Copy replaces the data of this member by a copy of an open one, and starts mysqld on it.
	Copy func(donor *Member) error
	// Forget takes all transactions away from a closed member, as a volume does that was restored
	// from an older state. Its server UUID stays.
	Forget func() error
	// Purge removes the binary logs that are not needed to go on.
	Purge func() error
	// Import declares transactions of another server as purged, as a dump does.
	Import func() error
	// Pause lets some milliseconds pass, by the clock that the member lives by.
	Pause func()
}

// Factory makes two running, closed members with an empty history.
type Factory func(t *testing.T) (a, b *Member)

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b *Member)
	}{
		{"a booted member is closed and empty", bootsClosed},
		{"an open member commits, a closed one does not", opens},
		{"what the primary commits is acknowledged and applied", replicates},
		{"a commit without acknowledgement waits and is in the binlog alone", waits},
		{"a member that stops to wait releases what waits", solo},
		{"a fence closes and keeps replication", fences},
		{"a fence says that commits wait", fenceIncomplete},
		{"a start after a crash commits the tail", crash},
		{"what was acknowledged survives a crash of the receiver", relayLog},
		{"a stopped receiver receives and acknowledges nothing", ackFence},
		{"a copy has what was committed, and follows", copies},
		{"a receiver leaves out what its own server wrote", leavesOutItsOwn},
		{"a replica is refused that lacks what its source has purged", purged},
		{"what was declared purged reaches no replica", imported},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := factory(t)
			test.run(t, a, b)
		})
	}
}

// patience is how many pauses something may take that takes a moment where nothing else runs.
const patience = 24000

// must ends the test at an error that the tested behavior does not allow.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, m *Member) mysqlops.Status {
	t.Helper()
	s, err := m.Status(t.Context())
	must(t, err)
	return s
}

// await looks at m until fine holds.
func await(t *testing.T, m *Member, what string, fine func(mysqlops.Status) bool) mysqlops.Status {
	t.Helper()
	var last mysqlops.Status
	var err error
	for range patience {
		last, err = m.Status(t.Context())
		if err == nil && fine(last) {
			return last
		}
		m.Pause()
	}
	t.Fatalf("waited in vain: %s; last %+v, %v", what, last, err)
	return last
}

// answered waits for a client's answer.
func answered(t *testing.T, m *Member, answer <-chan error) error {
	t.Helper()
	for range patience {
		select {
		case err := <-answer:
			return err
		default:
			m.Pause()
		}
	}
	t.Fatal("the client waits for its answer in vain")
	return nil
}

// unanswered fails when the client gets an answer within some pauses.
func unanswered(t *testing.T, m *Member, answer <-chan error) {
	t.Helper()
	for range 20 {
		select {
		case err := <-answer:
			t.Errorf("the client got an answer: %v", err)
			return
		default:
			m.Pause()
		}
	}
}

// follow makes b replicate from a.
func follow(t *testing.T, a, b *Member) {
	t.Helper()
	must(t, b.Replicate(a))
	must(t, b.StartApplier(t.Context()))
	must(t, b.StartReceiver(t.Context()))
	await(t, b, "the receiver streams", func(s mysqlops.Status) bool { return s.Channel.Receiver == mysqlops.ReceiverStreaming })
}

// lead makes a pair of a, open and waiting, and b, which acknowledges.
func lead(t *testing.T, a, b *Member) {
	t.Helper()
	follow(t, a, b)
	must(t, a.Open(t.Context(), true))
	await(t, a, "the peer acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 1 })
}

// oneWaits: the parts of a Status are read one after the other, so the count may already
// hold a commit that the binlog, read before it, does not show yet.
func oneWaits(s mysqlops.Status) bool {
	return s.SemiSync.WaitSessions > 0 && !s.Binlog.Equal(s.Executed)
}

// A pause of a real server.
const realPause = 5 * time.Millisecond

// Sleep is the Pause of a member that lives by the clock of the machine.
func Sleep() { time.Sleep(realPause) }
