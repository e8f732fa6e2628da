package conformance

import (
	"testing"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

func bootsClosed(t *testing.T, a, b *Member) {
	for _, m := range []*Member{a, b} {
		s := status(t, m)
		closed := s.IsClosed() && !s.IsOpen()
		replicates := s.SemiSync.SourceEnabled || s.Channel.Receiver != mysqlops.ReceiverStopped
		if !closed || replicates || !s.Binlog.IsEmpty() {
			t.Errorf("booted as %+v", s)
		}
	}
}

func opens(t *testing.T, a, _ *Member) {
	if err := answered(t, a, a.Commit()); err == nil {
		t.Error("a closed member commits")
	}
	must(t, a.Open(t.Context(), false))
	must(t, answered(t, a, a.Commit()))
	s := status(t, a)
	open := s.IsOpen() && !s.IsClosed()
	if !open || s.Executed.Count() != 1 || !s.Executed.Equal(s.Binlog) {
		t.Errorf("after a commit %+v", s)
	}
}

func replicates(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, answered(t, a, a.Commit()))
	s := status(t, a)
	if s.Executed.Count() != 1 || !s.Executed.Equal(s.Binlog) || s.SemiSync.WaitSessions != 0 {
		t.Errorf("primary %+v", s)
	}
	if p := status(t, b); !p.Received.Covers(s.Executed) {
		t.Errorf("an acknowledged commit is not at the passive: %+v", p)
	}
	p := await(t, b, "applied", func(p mysqlops.Status) bool { return p.Executed.Covers(s.Executed) })
	if !p.Executed.Equal(s.Executed) || !p.IsClosed() {
		t.Errorf("passive %+v", p)
	}
}

func waits(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, b.StopReceiver(t.Context()))
	before := status(t, a)
	answer := a.Commit()
	s := await(t, a, "a commit waits", oneWaits)
	unanswered(t, a, answer)
	if !s.Executed.Equal(before.Executed) || s.Binlog.Subtract(before.Binlog).Count() != 1 {
		t.Errorf("with a waiting commit %+v, before %+v", s, before)
	}
	if s = status(t, a); s.SemiSync.OldestWait <= 0 {
		t.Errorf("the wait is not timed: %+v", s.SemiSync)
	}
	must(t, b.StartReceiver(t.Context()))
	must(t, answered(t, a, answer))
	after := status(t, a)
	if !after.Executed.Equal(s.Binlog) || after.SemiSync.OldestWait != 0 {
		t.Errorf("after the acknowledgement %+v", after)
	}
	await(t, b, "received", func(p mysqlops.Status) bool { return p.Received.Covers(s.Binlog) })
}

func solo(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, b.StopReceiver(t.Context()))
	answer := a.Commit()
	await(t, a, "a commit waits", oneWaits)
	must(t, a.StopWaiting(t.Context(), 7))
	must(t, answered(t, a, answer))
	must(t, answered(t, a, a.Commit()))
	if s := status(t, a); s.SemiSync.SourceEnabled || s.SemiSync.WaitSessions != 0 || s.Executed.Count() != 2 {
		t.Errorf("solo %+v", s)
	}
	must(t, a.StartWaiting(t.Context()))
	answer = a.Commit()
	await(t, a, "a commit waits again", oneWaits)
	must(t, b.StartReceiver(t.Context()))
	must(t, answered(t, a, answer))
}

func fences(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, answered(t, a, a.Commit()))
	fenced, err := a.Fence(t.Context())
	must(t, err)
	s := status(t, a)
	closed := fenced.Complete() && s.IsClosed()
	if !closed || !fenced.Executed.Equal(s.Executed) || !fenced.Binlog.Equal(s.Binlog) {
		t.Errorf("fenced as %+v, status %+v", fenced, s)
	}
	if err := answered(t, a, a.Commit()); err == nil {
		t.Error("a fenced member commits")
	}
	if p := status(t, b); p.Channel.Receiver != mysqlops.ReceiverStreaming {
		t.Errorf("the passive's channel %+v", p.Channel)
	}
}

func fenceIncomplete(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, b.StopReceiver(t.Context()))
	answer := a.Commit()
	waiting := await(t, a, "a commit waits", oneWaits)
	fenced, err := a.Fence(t.Context())
	must(t, err)
	// The commit that waits holds read-only back; offline mode is in force, and seen to be.
	incomplete := !fenced.Complete() && !fenced.SuperReadOnly && fenced.WaitingCommits > 0
	offline := fenced.OfflineMode && fenced.ReRead
	if !incomplete || !offline {
		t.Errorf("fenced as %+v", fenced)
	}
	if err := answered(t, a, answer); err == nil {
		t.Error("the client of a waiting commit got OK")
	}
	if !fenced.Binlog.Covers(waiting.Binlog) {
		t.Errorf("the fence took the tail out of the binlog: %+v", fenced)
	}
	a.Kill()
}

func crash(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, answered(t, a, a.Commit()))
	must(t, b.StopReceiver(t.Context()))
	answer := a.Commit()
	before := await(t, a, "a commit waits", oneWaits)
	a.Kill()
	if err := answered(t, a, answer); err == nil {
		t.Error("the client of a killed mysqld got OK")
	}
	a.Boot()
	s := status(t, a)
	waits := s.SemiSync.SourceEnabled || s.SemiSync.WaitSessions != 0
	if !s.IsClosed() || !s.Executed.Equal(before.Binlog) || waits {
		t.Errorf("after the start %+v, before %+v", s, before)
	}
}

func relayLog(t *testing.T, a, b *Member) {
	lead(t, a, b)
	must(t, b.StopApplier(t.Context()))
	must(t, answered(t, a, a.Commit()))
	received := status(t, a).Executed
	s := await(t, b, "received", func(s mysqlops.Status) bool { return s.Received.Covers(received) })
	if s.Executed.Covers(received) || s.Channel.ApplierRunning {
		t.Errorf("with a stopped applier %+v", s)
	}
	b.Kill()
	b.Boot()
	if s := status(t, b); !s.Received.Covers(received) {
		t.Errorf("a restart lost what was acknowledged: %+v", s)
	}
	must(t, b.StartApplier(t.Context()))
	await(t, b, "applied", func(s mysqlops.Status) bool { return s.Executed.Covers(received) })
}

func ackFence(t *testing.T, a, b *Member) {
	lead(t, a, b)
	for range 2 {
		must(t, b.StopReceiver(t.Context()))
	}
	fixed := status(t, b)
	answer := a.Commit()
	await(t, a, "a commit waits", oneWaits)
	unanswered(t, a, answer)
	if s := status(t, b); s.Channel.Receiver != mysqlops.ReceiverStopped || !s.Received.Equal(fixed.Received) {
		t.Errorf("after the receiver was stopped %+v", s)
	}
	a.Kill()
}

func copies(t *testing.T, a, b *Member) {
	must(t, a.Open(t.Context(), false))
	must(t, answered(t, a, a.Commit()))
	must(t, b.Copy(a))
	source := status(t, a)
	if s := status(t, b); !s.Executed.Equal(source.Executed) || !s.IsClosed() {
		t.Errorf("copied %+v, donor %+v", s, source)
	}
	follow(t, a, b)
	must(t, answered(t, a, a.Commit()))
	written := status(t, a).Executed
	await(t, b, "applied", func(s mysqlops.Status) bool { return s.Executed.Equal(written) })
}

func leavesOutItsOwn(t *testing.T, a, b *Member) {
	follow(t, a, b)
	must(t, a.Open(t.Context(), false))
	must(t, answered(t, a, a.Commit()))
	former := status(t, a).Executed
	await(t, b, "applied", func(s mysqlops.Status) bool { return s.Executed.Covers(former) })
	must(t, b.StopReceiver(t.Context()))
	_, err := a.Fence(t.Context())
	must(t, err)
	must(t, a.Forget())
	must(t, b.Open(t.Context(), false))
	must(t, answered(t, b, b.Commit()))
	written := status(t, b).Executed.Subtract(former)
	follow(t, b, a)
	s := await(t, a, "what the peer wrote is received", func(s mysqlops.Status) bool { return s.Received.Covers(written) })
	if written.IsEmpty() || former.IsEmpty() || !s.Received.Intersect(former).IsEmpty() {
		t.Errorf("received %v, which has some of its own %v", s.Received, former)
	}
}

func purged(t *testing.T, a, b *Member) {
	must(t, a.Open(t.Context(), false))
	must(t, answered(t, a, a.Commit()))
	must(t, a.Purge())
	must(t, answered(t, a, a.Commit()))
	s := status(t, a)
	if s.Purged.Count() != 1 || s.Executed.Count() != 2 || !s.Binlog.Equal(s.Executed) {
		t.Errorf("after the purge %+v", s)
	}
	must(t, b.Replicate(a))
	must(t, b.StartApplier(t.Context()))
	must(t, b.StartReceiver(t.Context()))
	got := await(t, b, "the source refuses", func(s mysqlops.Status) bool { return s.Channel.ReceiverError.Number != 0 })
	if got.Channel.Receiver == mysqlops.ReceiverStreaming || !got.Received.IsEmpty() {
		t.Errorf("the replica %+v", got)
	}
}

func imported(t *testing.T, a, b *Member) {
	lead(t, a, b)
	before := status(t, a).Executed
	must(t, a.Import())
	foreign := status(t, a).Purged.Subtract(before)
	must(t, answered(t, a, a.Commit()))
	written := status(t, a).Executed.Subtract(foreign)
	s := await(t, b, "the next commit is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(written) })
	if foreign.IsEmpty() || !s.Received.Intersect(foreign).IsEmpty() {
		t.Errorf("received %v, which has some of the declared %v", s.Received, foreign)
	}
}
