package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Ops is what both implementations have in common.
type Ops interface {
	Ping(ctx context.Context) error
	Warm(ctx context.Context) error
	IsWarm() bool
	Status(ctx context.Context) (mysqlops.Status, error)
	VerifyOwned(ctx context.Context, want []mycnf.Expectation) ([]mysqlops.Difference, error)
	PrivilegedAccounts(ctx context.Context) ([]mysqlops.PrivilegedAccount, error)
	Fence(ctx context.Context) (mysqlops.Fenced, error)
	OpenReadWrite(ctx context.Context, closed []mycnf.Expectation, waiting bool) error
	OpenReadOnly(ctx context.Context) error
	CloseReads(ctx context.Context) error
	KeepReadOnly(ctx context.Context) (mysqlops.Correction, error)
	StartWaiting(ctx context.Context) error
	StopWaiting(ctx context.Context, soloVersion uint64) error
	CommitHeartbeat(ctx context.Context, ordinal int) error
	ConfigureChannel(ctx context.Context, source mysqlops.Source, rotated bool) (bool, error)
	StartReceiver(ctx context.Context) error
	StopReceiver(ctx context.Context) error
	StartApplier(ctx context.Context) error
	StopApplier(ctx context.Context) error
	ResetReplicaAll(ctx context.Context, discard bool) error
	SetReplicaAcknowledges(ctx context.Context, on bool) error
	WaitApplied(ctx context.Context, set gtid.Set, limit time.Duration) error
	CutForeignDumpThreads(ctx context.Context, account string, peer gtid.ServerUUID) ([]mysqlops.DumpThread, error)
	PurgeBinlogs(ctx context.Context, limits mysqlops.PurgeLimits) (mysqlops.Purged, error)
	ReloadTLS(ctx context.Context) error
	CreateAccounts(ctx context.Context, passwords mysqlops.Passwords, app mysqlops.AppAccount) error
	SetPassword(ctx context.Context, account mysqlops.Account, password mysqlops.Secret) error
	DiscardOldPassword(ctx context.Context, account mysqlops.Account) error
	CloneFrom(ctx context.Context, donor mysqlops.Donor, progress func(mysqlops.CloneProgress)) error
	CloneState(ctx context.Context) (mysqlops.CloneProgress, error)
}

var _ Ops = (*mysqlops.Server)(nil)

// Member is one mysqld under test.
type Member struct {
	Ops
	Member mycnf.Member
	// Commit runs one transaction of a client, in the background. The channel
	// delivers the client's answer once; a refusal comes on it too.
	Commit func() <-chan error
	// Kill is SIGKILL; Boot starts mysqld closed and waits until it answers.
	Kill, Boot func()
	// Source and Donor describe this member to its peer.
	Source func(reader *Member) mysqlops.Source
	Donor  func(reader *Member) mysqlops.Donor
}

// Factory makes two running, closed members with accounts and an empty history.
type Factory func(t *testing.T) (a, b *Member)

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b *Member)
	}{
		{"a booted member is closed and as owned", bootsClosed},
		{"a readable member serves reads and refuses writes", readable},
		{"opening needs a closed member without drift", opening},
		{"what the open primary commits is acknowledged and applied", replicates},
		{"a commit without acknowledgement waits and is in the binlog alone", waits},
		{"a solo member releases what waits", solo},
		{"waiting is not stopped without a reason", stopWaiting},
		{"a fence closes and keeps replication", fences},
		{"a fence says what it did not reach", fenceIncomplete},
		{"a fence never logs in", fenceCold},
		{"a start after a crash commits the tail", crash},
		{"the relay log is not thrown away", relayLog},
		{"a stopped receiver receives nothing", ackFence},
		{"a member is seeded by a clone", clones},
		{"accounts are not made where there is history", history},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := factory(t)
			test.run(t, a, b)
		})
	}
}

// patience bounds what takes a moment where nothing else runs.
const patience = 2 * time.Minute

// must ends the test at an error that the tested behavior does not allow.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func status(t *testing.T, m *Member) mysqlops.Status {
	t.Helper()
	s, err := m.Status(t.Context())
	must(t, err)
	return s
}

// await polls m until fine holds.
func await(t *testing.T, m *Member, what string, fine func(mysqlops.Status) bool) mysqlops.Status {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s, err := m.Status(t.Context())
		if err == nil && fine(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s; last %+v, %v", what, s, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// answered waits for a client's answer.
func answered(t *testing.T, answer <-chan error) error {
	t.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(patience):
		t.Fatal("the client waits for its answer in vain")
		return nil
	}
}

// unanswered fails when the client has got an answer.
func unanswered(t *testing.T, answer <-chan error) {
	t.Helper()
	select {
	case err := <-answer:
		t.Errorf("the client got an answer: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
}

func open(t *testing.T, m *Member, waiting bool) {
	t.Helper()
	must(t, m.OpenReadWrite(t.Context(), mycnf.Expect(m.Member, mycnf.State{}), waiting))
}

// follow makes b replicate from a.
func follow(t *testing.T, a, b *Member) {
	t.Helper()
	_, err := b.ConfigureChannel(t.Context(), a.Source(b), false)
	must(t, err)
	must(t, b.StartApplier(t.Context()))
	must(t, b.StartReceiver(t.Context()))
	await(t, b, "receiver streams", func(s mysqlops.Status) bool { return s.Channel.Receiver == mysqlops.ReceiverStreaming })
}

// lead makes a pair of a, open and waiting, and b, which acknowledges.
func lead(t *testing.T, a, b *Member) {
	t.Helper()
	follow(t, a, b)
	open(t, a, true)
	await(t, a, "the peer acknowledges", func(s mysqlops.Status) bool { return s.SemiSync.Clients == 1 })
}

// oneWaits: the parts of a Status are read one after the other, so the count may already
// hold a commit that the binlog, read before it, does not show yet.
func oneWaits(s mysqlops.Status) bool {
	return s.SemiSync.WaitSessions > 0 && !s.Binlog.Equal(s.Executed)
}
