package mysqlops_test

import (
	"context"
	"testing"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/mysqlops/conformance"
)

func TestConformance(t *testing.T) {
	mysqldtest.Require(t)
	conformance.Run(t, func(t *testing.T) (a, b *conformance.Member) {
		first := operate(t, 0)
		second := operate(t, 1)
		a = realMember(t, first)
		b = realMember(t, second)
		a.Replicate, a.Copy = from(t, first, second)
		b.Replicate, b.Copy = from(t, second, first)
		return a, b
	})
}

// realServer is a mysqld as the suite takes it.
type realServer struct{ *operated }

// Open implements conformance.Server.
func (s realServer) Open(ctx context.Context, waiting bool) error {
	return s.OpenReadWrite(ctx, mycnf.Expect(s.Member, mycnf.State{}), waiting)
}

// Fence implements conformance.Server. The sessions that it uses are opened before, as the agent
// does when mysqld has started.
func (s realServer) Fence(ctx context.Context) (mysqlops.Fenced, error) {
	if err := s.Warm(ctx); err != nil {
		return mysqlops.Fenced{}, err
	}
	return s.operated.Fence(ctx)
}

func realMember(t *testing.T, m *operated) *conformance.Member {
	t.Helper()
	return &conformance.Member{
		Server: realServer{m},
		Commit: m.Commit,
		Kill:   m.Kill,
		Boot:   m.Boot,
		Pause:  conformance.Sleep,
		Forget: executes(t, m, "RESET BINARY LOGS AND GTIDS"),
		Purge:  func() error { return purgeAll(t, m) },
		Import: executes(t, m, "SET GLOBAL gtid_purged = '+3e11fa47-71ca-11e1-9e33-c80aa9429562:1'"),
	}
}

func executes(t *testing.T, m *operated, statement string) func() error {
	t.Helper()
	return func() error {
		_, err := m.instance.Root().ExecContext(t.Context(), statement)
		return err
	}
}

// purgeAll removes all binary logs but a new, empty one.
func purgeAll(t *testing.T, m *operated) error {
	t.Helper()
	root := m.instance.Root()
	if _, err := root.ExecContext(t.Context(), "FLUSH BINARY LOGS"); err != nil {
		return err
	}
	var newest, hidden string
	var position int64
	if err := root.QueryRowContext(t.Context(), "SHOW BINARY LOG STATUS").Scan(&newest, &position, &hidden, &hidden, &hidden); err != nil {
		return err
	}
	_, err := root.ExecContext(t.Context(), "PURGE BINARY LOGS TO '"+newest+"'")
	return err
}

// from is how m replicates from its peer, and how it becomes a copy of it.
func from(t *testing.T, m, peer *operated) (replicate, copied func(*conformance.Member) error) {
	t.Helper()
	replicate = func(*conformance.Member) error {
		_, err := m.ConfigureChannel(t.Context(), peer.Source(m), false)
		return err
	}
	copied = func(*conformance.Member) error {
		if err := m.CloneFrom(t.Context(), peer.Donor(m), nil); err != nil {
			return err
		}
		m.Kill() // the supervisor reaps it
		m.Boot()
		return m.ResetReplicaAll(t.Context(), true)
	}
	return replicate, copied
}

// commits is how clients of an instance commit one transaction, whatever it is, which needs no
// table.
func commits(t *testing.T, instance *mysqldtest.Instance) func() <-chan error {
	t.Helper()
	client := instance.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	return func() <-chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := client.ExecContext(context.WithoutCancel(t.Context()), "DROP VIEW IF EXISTS app.v")
			answer <- err
		}()
		return answer
	}
}
