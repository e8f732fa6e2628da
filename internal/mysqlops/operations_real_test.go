package mysqlops_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// operated is one mysqld under test.
type operated struct {
	*mysqlops.Server
	Member mycnf.Member
	// Commit runs one transaction of a client, in the background. The channel delivers the
	// client's answer once; a refusal comes on it too.
	Commit func() <-chan error
	// Kill is SIGKILL; Boot starts mysqld closed and waits until it answers.
	Kill, Boot func()
	instance   *mysqldtest.Instance
}

// Source and Donor describe this member to its peer.
func (m *operated) Source(reader *operated) mysqlops.Source {
	return m.instance.SourceOf(tlsOf(reader.Member))
}

func (m *operated) Donor(reader *operated) mysqlops.Donor {
	return mysqlops.Donor{
		Host:     "127.0.0.1",
		Port:     m.Member.AdminPort,
		User:     mysqlops.UserClone,
		Password: mysqldtest.Passwords.Clone,
		TLS:      tlsOf(reader.Member),
	}
}

func tlsOf(m mycnf.Member) mysqlops.TLSFiles {
	return mysqlops.TLSFiles{CA: m.TLSDir + "/ca.crt", Cert: m.TLSDir + "/tls.crt", Key: m.TLSDir + "/tls.key"}
}

func operate(t *testing.T, ordinal int) *operated {
	instance := mysqldtest.Start(t, mysqldtest.Options{Ordinal: ordinal})
	return &operated{
		Server:   instance.Ops,
		Member:   instance.Member,
		Commit:   commits(t, instance),
		Kill:     instance.Kill,
		Boot:     instance.Boot,
		instance: instance,
	}
}

// What the operations of a mysqld do and refuse, beside what the simulator's model does too
// (TestConformance).
func TestOperations(t *testing.T) {
	mysqldtest.Require(t)
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b *operated)
	}{
		{"a booted member is closed and as owned", bootsClosed},
		{"a readable member serves reads and refuses writes", readable},
		{"opening needs a closed member without drift", opening},
		{"the channel of an open primary is configured once", replicates},
		{"binary logs are not purged while a commit waits", waits},
		{"a solo member releases what waits", solo},
		{"waiting is not stopped without a reason", stopWaiting},
		{"a fence closes and keeps replication", fences},
		{"a fence says what it did not reach", fenceIncomplete},
		{"a fence never logs in", fenceCold},
		{"the relay log is not thrown away", relayLog},
		{"a stopped receiver receives nothing", ackFence},
		{"a member is seeded by a clone", clones},
		{"accounts are not made where there is history", history},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, operate(t, 0), operate(t, 1)) })
	}
}

func bootsClosed(t *testing.T, a, b *operated) {
	for _, m := range []*operated{a, b} {
		s := statusOf(t, m)
		if !s.IsClosed() || s.IsReadable() || s.IsOpen() || s.SemiSync.SourceEnabled || s.Channel.Configured || !s.Binlog.IsEmpty() {
			t.Errorf("booted as %+v", s)
		}
		differences, err := m.VerifyOwned(t.Context(), mycnf.Expect(m.Member, mycnf.State{}))
		must(t, err)
		if len(differences) > 0 {
			t.Errorf("differs: %v", differences)
		}
		if err := answered(t, m.Commit()); err == nil {
			t.Error("a closed member commits")
		}
	}
	if statusOf(t, a).ServerUUID == statusOf(t, b).ServerUUID {
		t.Error("both members have one server UUID")
	}
}

func readable(t *testing.T, a, _ *operated) {
	for range 2 {
		must(t, a.OpenReadOnly(t.Context()))
	}
	if s := statusOf(t, a); !s.IsReadable() || s.IsOpen() {
		t.Errorf("readable as %+v", s)
	}
	if err := answered(t, a.Commit()); err == nil {
		t.Error("a readable member commits")
	}
	open(t, a, false)
	must(t, answered(t, a.Commit()))
	found, err := a.KeepReadOnly(t.Context())
	must(t, err)
	if !found.Needed || found.ReadOnly || found.SuperReadOnly {
		t.Errorf("found %+v on an open member", found)
	}
	must(t, a.CloseReads(t.Context()))
	if s := statusOf(t, a); !s.IsClosed() {
		t.Errorf("closed as %+v", s)
	}
	if found, err = a.KeepReadOnly(t.Context()); err != nil || found.Needed {
		t.Errorf("found %+v, %v on a closed member", found, err)
	}
}

func opening(t *testing.T, a, _ *operated) {
	open(t, a, true)
	differences, err := a.VerifyOwned(t.Context(), mycnf.Expect(a.Member, mycnf.State{Open: true, Waiting: true}))
	if err != nil || len(differences) > 0 {
		t.Errorf("open member differs: %v, %v", differences, err)
	}
	wantError(t, "opening twice", a.OpenReadWrite(t.Context(), mycnf.Expect(a.Member, mycnf.State{}), true), mysqlops.ErrNotClosed)
}

func replicates(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, answered(t, a.Commit()))
	s := statusOf(t, a)
	if s.Executed.Count() == 0 || !s.Executed.Equal(s.Binlog) || len(s.DumpThreads) != 1 || s.DumpThreads[0].User != mysqlops.UserReplication {
		t.Errorf("primary %+v", s)
	}
	must(t, b.WaitApplied(t.Context(), s.Executed, patience))
	p := statusOf(t, b)
	if !p.Executed.Equal(s.Executed) || p.Channel.SourceUUID != s.ServerUUID || !p.SemiSync.ReplicaActive || p.Channel.LagTransactions != 0 {
		t.Errorf("passive %+v", p)
	}
	if s.DumpThreads[0].ReplicaUUID != p.ServerUUID {
		t.Errorf("reader %+v, want %s", s.DumpThreads[0], p.ServerUUID)
	}
	changed, err := b.ConfigureChannel(t.Context(), a.Source(b), false)
	if err != nil || changed {
		t.Errorf("configuring the same channel: changed %t, %v", changed, err)
	}
	wantError(t, "a heartbeat of the passive", b.CommitHeartbeat(t.Context(), 1), mysqlops.ErrReadOnly)
	must(t, a.CommitHeartbeat(t.Context(), 0))
}

func waits(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, b.StopReceiver(t.Context()))
	before := statusOf(t, a)
	answer := a.Commit()
	s := await(t, a, "a commit waits", oneWaits)
	unanswered(t, answer)
	if !s.Executed.Equal(before.Executed) || s.Binlog.Subtract(before.Binlog).Count() != 1 || s.SemiSync.OldestWait <= 0 {
		t.Errorf("with a waiting commit %+v, before %+v", s, before)
	}
	limits := mysqlops.PurgeLimits{MaxBytes: 1, Received: s.Binlog}
	if _, err := a.PurgeBinlogs(t.Context(), limits); !errors.Is(err, mysqlops.ErrCommitsWaiting) {
		t.Errorf("purge: %v, want ErrCommitsWaiting", err)
	}
	must(t, b.StartReceiver(t.Context()))
	must(t, answered(t, answer))
	after := statusOf(t, a)
	if !after.Executed.Equal(s.Binlog) || after.SemiSync.OldestWait != 0 {
		t.Errorf("after the acknowledgement %+v", after)
	}
	await(t, b, "received", func(p mysqlops.Status) bool { return p.Received.Covers(s.Binlog) })
}

func solo(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, b.StopReceiver(t.Context()))
	answer := a.Commit()
	before := await(t, a, "a commit waits", oneWaits).SemiSync
	if !before.Waits() {
		t.Errorf("a leader does not wait: %+v", before)
	}
	must(t, a.StopWaiting(t.Context(), 7))
	must(t, answered(t, answer))
	must(t, answered(t, a.Commit()))
	if s := statusOf(t, a); s.SemiSync.SourceEnabled || s.SemiSync.WaitSessions != 0 {
		t.Errorf("solo %+v", s.SemiSync)
	}
	for range 2 {
		must(t, a.StartWaiting(t.Context()))
		if s := statusOf(t, a).SemiSync; !s.Waits() || s.Interruptions != before.Interruptions+1 {
			t.Errorf("waiting again %+v, before %+v", s, before)
		}
	}
	answer = a.Commit()
	await(t, a, "a commit waits", oneWaits)
	must(t, b.StartReceiver(t.Context()))
	must(t, answered(t, answer))
}

func stopWaiting(t *testing.T, a, b *operated) {
	lead(t, a, b)
	wantError(t, "on an open member", a.StopWaiting(t.Context(), 0), mysqlops.ErrNotClosed)
	must(t, a.Warm(t.Context()))
	fenced, err := a.Fence(t.Context())
	must(t, err)
	if !fenced.Complete() {
		t.Fatalf("fenced as %+v", fenced)
	}
	for range 2 {
		must(t, a.StopWaiting(t.Context(), 0))
	}
	differences, err := a.VerifyOwned(t.Context(), mycnf.Expect(a.Member, mycnf.State{}))
	if err != nil || len(differences) > 0 {
		t.Errorf("a fenced member that does not wait differs from a closed one: %v, %v", differences, err)
	}
	open(t, a, false)
}

func fences(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, answered(t, a.Commit()))
	must(t, a.Warm(t.Context()))
	for range 2 {
		fenced, err := a.Fence(t.Context())
		must(t, err)
		s := statusOf(t, a)
		if !fenced.Complete() || !s.IsClosed() || !fenced.Executed.Equal(s.Executed) || !fenced.Binlog.Equal(s.Binlog) {
			t.Errorf("fenced as %+v, status %+v", fenced, s)
		}
	}
	if err := answered(t, a.Commit()); err == nil {
		t.Error("a fenced member commits")
	}
	if s := statusOf(t, b); s.Channel.Receiver != mysqlops.ReceiverStreaming {
		t.Errorf("the passive's channel %+v", s.Channel)
	}
}

func fenceIncomplete(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, a.Warm(t.Context()))
	must(t, b.StopReceiver(t.Context()))
	answer := a.Commit()
	await(t, a, "a commit waits", oneWaits)
	fenced, err := a.Fence(t.Context())
	must(t, err)
	if fenced.Complete() || fenced.SuperReadOnly || !fenced.OfflineMode || !fenced.ReRead || fenced.WaitingCommits == 0 {
		t.Errorf("fenced as %+v", fenced)
	}
	if err := answered(t, answer); err == nil {
		t.Error("the client of a waiting commit got OK")
	}
	found, err := a.KeepReadOnly(t.Context())
	if err == nil || !found.Needed {
		t.Errorf("correction with a waiting commit: %+v, %v", found, err)
	}
	a.Kill()
}

func fenceCold(t *testing.T, a, _ *operated) {
	if a.IsWarm() {
		t.Error("warm before Warm")
	}
	_, err := a.Fence(t.Context())
	wantError(t, "fence before Warm", err, mysqlops.ErrNotWarm)
	for range 2 {
		must(t, a.Warm(t.Context()))
	}
	if !a.IsWarm() {
		t.Error("cold after Warm")
	}
	a.Kill()
	if fenced, err := a.Fence(t.Context()); fenced.Complete() {
		t.Errorf("a dead mysqld was fenced: %+v, %v", fenced, err)
	}
	wantError(t, "ping of a dead mysqld", a.Ping(t.Context()), mysqlops.ErrRefused)
}

func relayLog(t *testing.T, a, b *operated) {
	lead(t, a, b)
	must(t, b.StopApplier(t.Context()))
	must(t, answered(t, a.Commit()))
	received := statusOf(t, a).Executed
	s := await(t, b, "received", func(s mysqlops.Status) bool { return s.Received.Covers(received) })
	if s.Executed.Covers(received) || s.Channel.LagTransactions == 0 {
		t.Errorf("with a stopped applier %+v", s)
	}
	wantError(t, "reset", b.ResetReplicaAll(t.Context(), false), mysqlops.ErrUnapplied)
	elsewhere := a.Source(b)
	elsewhere.Port++
	_, err := b.ConfigureChannel(t.Context(), elsewhere, false)
	wantError(t, "another source", err, mysqlops.ErrUnapplied)
	b.Kill()
	b.Boot()
	if s := statusOf(t, b); !s.Received.Covers(received) {
		t.Errorf("a restart lost what was acknowledged: %+v", s)
	}
	must(t, b.StartApplier(t.Context()))
	must(t, b.WaitApplied(t.Context(), received, patience))
	changed, err := b.ConfigureChannel(t.Context(), elsewhere, false)
	if err != nil || !changed {
		t.Errorf("another source: changed %t, %v", changed, err)
	}
	must(t, b.ResetReplicaAll(t.Context(), false))
	if s := statusOf(t, b); s.Channel.Configured {
		t.Errorf("after the reset %+v", s.Channel)
	}
}

func ackFence(t *testing.T, a, b *operated) {
	wantError(t, "starting without a channel", b.StartReceiver(t.Context()), mysqlops.ErrNoChannel)
	must(t, b.StopReceiver(t.Context()))
	lead(t, a, b)
	for range 2 {
		must(t, b.StopReceiver(t.Context()))
	}
	fixed := statusOf(t, b)
	answer := a.Commit()
	waiting := await(t, a, "a commit waits", oneWaits)
	unanswered(t, answer)
	s := statusOf(t, b)
	if s.Channel.Receiver != mysqlops.ReceiverStopped || !s.Received.Equal(fixed.Received) {
		t.Errorf("after the receiver was stopped %+v", s)
	}
	wantError(t, "waiting for what was not received", b.WaitApplied(t.Context(), waiting.Binlog, 300*time.Millisecond), mysqlops.ErrDeadline)
	a.Kill()
}

func clones(t *testing.T, a, b *operated) {
	open(t, a, false)
	must(t, answered(t, a.Commit()))
	nowhere := a.Donor(b)
	nowhere.Port++
	wantError(t, "from nowhere", b.CloneFrom(t.Context(), nowhere, nil), mysqlops.ErrClone)
	must(t, b.CloneFrom(t.Context(), a.Donor(b), nil))
	b.Kill() // the supervisor reaps it
	b.Boot()
	must(t, b.ResetReplicaAll(t.Context(), true))
	state, err := b.CloneState(t.Context())
	if err != nil || state.Failed || state.Stage != "RECOVERY" {
		t.Errorf("clone ended as %+v, %v", state, err)
	}
	source := statusOf(t, a)
	seeded := statusOf(t, b)
	if !seeded.Executed.Equal(source.Executed) || !seeded.IsClosed() || seeded.ServerUUID == source.ServerUUID || seeded.Channel.Configured {
		t.Errorf("seeded %+v, donor %+v", seeded, source)
	}
	follow(t, a, b)
	must(t, answered(t, a.Commit()))
	must(t, b.WaitApplied(t.Context(), statusOf(t, a).Executed, patience))
}

func history(t *testing.T, a, _ *operated) {
	secret := mysqlops.NewSecret("x")
	passwords := mysqlops.Passwords{
		Root:        secret,
		Replication: secret,
		Clone:       secret,
		Monitor:     secret,
		Checksum:    secret,
		Repair:      secret,
		App:         secret,
	}
	incomplete := passwords
	incomplete.App = mysqlops.Secret{}
	wantError(t, "with an empty password", a.CreateAccounts(t.Context(), incomplete, mysqlops.AppAccount{}), mysqlops.ErrInvalid)
	account := mysqlops.Account{User: mysqlops.UserMonitor, Host: "%"}
	wantError(t, "a password on a closed member", a.SetPassword(t.Context(), account, secret), mysqlops.ErrReadOnly)
	open(t, a, false)
	must(t, answered(t, a.Commit()))
	wantError(t, "with history", a.CreateAccounts(t.Context(), passwords, mysqlops.AppAccount{}), mysqlops.ErrHistory)
	must(t, a.SetPassword(t.Context(), account, secret))
	must(t, a.DiscardOldPassword(t.Context(), account))
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

func statusOf(t *testing.T, m *operated) mysqlops.Status {
	t.Helper()
	s, err := m.Status(t.Context())
	must(t, err)
	return s
}

// await polls m until fine holds.
func await(t *testing.T, m *operated, what string, fine func(mysqlops.Status) bool) mysqlops.Status {
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

func open(t *testing.T, m *operated, waiting bool) {
	t.Helper()
	must(t, m.OpenReadWrite(t.Context(), mycnf.Expect(m.Member, mycnf.State{}), waiting))
}

// follow makes b replicate from a.
func follow(t *testing.T, a, b *operated) {
	t.Helper()
	_, err := b.ConfigureChannel(t.Context(), a.Source(b), false)
	must(t, err)
	must(t, b.StartApplier(t.Context()))
	must(t, b.StartReceiver(t.Context()))
	await(t, b, "receiver streams", func(s mysqlops.Status) bool { return s.Channel.Receiver == mysqlops.ReceiverStreaming })
}

// lead makes a pair of a, open and waiting, and b, which acknowledges.
func lead(t *testing.T, a, b *operated) {
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
