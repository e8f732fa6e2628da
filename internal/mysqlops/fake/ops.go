package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Disconnect is like mysqlops.Server.Disconnect.
func (m *Mysqld) Disconnect() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.warm = false
}

// Ping is like mysqlops.Server.Ping.
func (m *Mysqld) Ping(ctx context.Context) error {
	return m.do(ctx, "ping", func() error { return nil })
}

// Warm is like mysqlops.Server.Warm.
func (m *Mysqld) Warm(ctx context.Context) error {
	return m.do(ctx, "warm the fence path", func() error { m.warm = true; return nil })
}

// IsWarm is like mysqlops.Server.IsWarm.
func (m *Mysqld) IsWarm() bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.warm
}

func (m *Mysqld) do(ctx context.Context, operation string, fn func() error) error {
	if err := m.enter(ctx, operation); err != nil {
		return err
	}
	defer m.leave()
	if err := fn(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// Status is like mysqlops.Server.Status.
func (m *Mysqld) Status(ctx context.Context) (mysqlops.Status, error) {
	var status mysqlops.Status
	err := m.do(ctx, "read status", func() error { status = m.status(); return nil })
	return status, err
}

func (m *Mysqld) status() mysqlops.Status {
	s := mysqlops.Status{
		Version:        "9.7.0",
		ServerUUID:     m.uuid,
		Uptime:         m.net.now().Sub(m.started).Truncate(time.Second),
		ReadOnly:       m.readOnly,
		SuperReadOnly:  m.superReadOnly,
		OfflineMode:    m.offline,
		EventScheduler: m.events,
		Executed:       m.executed,
		Binlog:         m.binlog,
		Purged:         m.purged,
		Received:       m.executed.Union(m.relay),
		Channel:        m.channelStatus(),
		SemiSync: mysqlops.SemiSync{
			SourceEnabled:  m.sourceOn,
			SourceActive:   m.sourceOn,
			ReplicaEnabled: m.replicaOn,
			ReplicaActive:  m.acknowledging,
			SourceStrict:   true,
			Interruptions:  m.interruptions,
			Clients:        m.net.acknowledgers(m),
		},
		Sessions: mysqlops.Sessions{
			Clients:        m.sessions + m.privileged + len(m.waiting),
			InTransaction:  len(m.waiting),
			ThreadsRunning: 1 + len(m.waiting),
		},
	}
	if len(m.waiting) > 0 {
		s.SemiSync.WaitSessions = len(m.waiting)
		s.SemiSync.OldestWait = max(m.net.now().Sub(m.waiting[0].since), time.Microsecond)
	}
	for _, other := range m.net.byAddr {
		if m.net.sourceOf(other) == m {
			s.DumpThreads = append(s.DumpThreads, mysqlops.DumpThread{
				SessionID:   int64(len(s.DumpThreads) + 1),
				User:        other.source.User,
				Host:        other.member.PodIP,
				ReplicaUUID: other.uuid,
				Command:     "Binlog Dump GTID",
			})
		}
	}
	return s
}

func (m *Mysqld) channelStatus() mysqlops.ChannelStatus {
	if !m.configured {
		return mysqlops.ChannelStatus{Receiver: mysqlops.ReceiverStopped}
	}
	c := mysqlops.ChannelStatus{
		Configured:      true,
		SourceHost:      m.source.Host,
		SourcePort:      m.source.Port,
		SourceUser:      m.source.User,
		SourceUUID:      m.sourceUUID,
		Receiver:        mysqlops.ReceiverStopped,
		ApplierRunning:  m.applier,
		ApplierError:    m.applierError,
		LagTransactions: m.relay.Subtract(m.executed).Count(),
	}
	switch {
	case m.net.sourceOf(m) != nil:
		c.Receiver, c.Heartbeats, c.LastHeartbeat = mysqlops.ReceiverStreaming, 1, m.net.now()
	case m.receiver:
		c.Receiver = mysqlops.ReceiverConnecting
	}
	return c
}

// VerifyOwned is like mysqlops.Server.VerifyOwned: what the model knows is
// compared, the rest is as wanted unless SetVariable says otherwise.
func (m *Mysqld) VerifyOwned(ctx context.Context, want []mycnf.Expectation) ([]mysqlops.Difference, error) {
	var differences []mysqlops.Difference
	err := m.do(ctx, "verify owned settings", func() error { differences = m.compare(want); return nil })
	return differences, err
}

func (m *Mysqld) compare(want []mycnf.Expectation) []mysqlops.Difference {
	onOff := map[bool]string{true: "ON", false: "OFF"}
	known := map[string]string{
		"read_only":                      onOff[m.readOnly],
		"super_read_only":                onOff[m.superReadOnly],
		"offline_mode":                   onOff[m.offline],
		"event_scheduler":                onOff[m.events],
		"rpl_semi_sync_source_enabled":   onOff[m.sourceOn],
		"rpl_semi_sync_replica_enabled":  onOff[m.replicaOn],
		"sync_binlog":                    "1",
		"innodb_flush_log_at_trx_commit": "1",
	}
	for name, value := range m.drift {
		known[name] = value
	}
	var differences []mysqlops.Difference
	for _, one := range want {
		if got, modeled := known[one.Variable]; modeled && got != one.Want {
			differences = append(differences, mysqlops.Difference{
				Variable: one.Variable,
				Want:     one.Want,
				Got:      got,
			})
		}
	}
	slices.SortFunc(differences, func(a, b mysqlops.Difference) int { return strings.Compare(a.Variable, b.Variable) })
	return differences
}

// PrivilegedAccounts is like mysqlops.Server.PrivilegedAccounts.
func (m *Mysqld) PrivilegedAccounts(ctx context.Context) ([]mysqlops.PrivilegedAccount, error) {
	var accounts []mysqlops.PrivilegedAccount
	err := m.do(ctx, "list privileged accounts", func() error { accounts = slices.Clone(m.accounts); return nil })
	return accounts, err
}

// Fence is like mysqlops.Server.Fence.
func (m *Mysqld) Fence(ctx context.Context) (mysqlops.Fenced, error) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if !m.up || !m.warm {
		return mysqlops.Fenced{}, fmt.Errorf("fence: %w", mysqlops.ErrNotWarm)
	}
	var f mysqlops.Fenced
	step := func(name string, err error) { f.Steps = append(f.Steps, mysqlops.FenceStep{Name: name, Err: err}) }
	if m.hung || ctx.Err() != nil {
		m.warm = false
		step("offline_mode", mysqlops.ErrDeadline)
		return f, nil
	}
	m.offline = true
	m.sessions = 0
	m.answerWaiting(errGone)
	step("offline_mode", nil)
	if len(m.waiting) > 0 {
		step("super_read_only", mysqlops.ErrLockWait)
	} else {
		m.readOnly = true
		m.superReadOnly = true
		step("super_read_only", nil)
	}
	f.Killed = m.privileged
	m.privileged = 0
	step("sessions", nil)
	s := m.status()
	f.ReRead = true
	f.OfflineMode = s.OfflineMode
	f.ReadOnly = s.ReadOnly
	f.SuperReadOnly = s.SuperReadOnly
	f.ClientSessions = s.Sessions.Clients
	f.WaitingCommits = s.SemiSync.WaitSessions
	f.Executed = s.Executed
	f.Binlog = s.Binlog
	step("read back", nil)
	m.events = false
	step("event_scheduler", nil)
	return f, nil
}

// OpenReadWrite is like mysqlops.Server.OpenReadWrite.
func (m *Mysqld) OpenReadWrite(ctx context.Context, closed []mycnf.Expectation, waiting bool) error {
	return m.do(ctx, "open for writes", func() error {
		if !m.readOnly || !m.superReadOnly {
			return mysqlops.ErrNotClosed
		}
		differences := m.compare(closed)
		if !m.offline {
			differences = slices.DeleteFunc(differences, func(d mysqlops.Difference) bool { return d.Variable == "offline_mode" })
		}
		if len(differences) > 0 {
			return &mysqlops.DriftError{Differences: differences}
		}
		m.sourceOn = waiting
		m.readOnly = false
		m.superReadOnly = false
		m.offline = false
		m.events = true
		return nil
	})
}

// OpenReadOnly is like mysqlops.Server.OpenReadOnly.
func (m *Mysqld) OpenReadOnly(ctx context.Context) error {
	return m.do(ctx, "open for reads", func() error {
		m.readOnly = true
		m.superReadOnly = true
		m.offline = false
		return nil
	})
}

// CloseReads is like mysqlops.Server.CloseReads.
func (m *Mysqld) CloseReads(ctx context.Context) error {
	return m.do(ctx, "close for reads", func() error {
		m.offline = true
		m.sessions = 0
		return nil
	})
}

// KeepReadOnly is like mysqlops.Server.KeepReadOnly.
func (m *Mysqld) KeepReadOnly(ctx context.Context) (mysqlops.Correction, error) {
	var found mysqlops.Correction
	err := m.do(ctx, "keep read only", func() error {
		if m.readOnly && m.superReadOnly {
			return nil
		}
		found = mysqlops.Correction{
			Needed:        true,
			ReadOnly:      m.readOnly,
			SuperReadOnly: m.superReadOnly,
		}
		if len(m.waiting) > 0 {
			return mysqlops.ErrLockWait
		}
		m.readOnly = true
		m.superReadOnly = true
		m.events = false
		return nil
	})
	return found, err
}

// StartWaiting is like mysqlops.Server.StartWaiting.
func (m *Mysqld) StartWaiting(ctx context.Context) error {
	return m.do(ctx, "start waiting for acknowledgements", func() error { m.sourceOn = true; return nil })
}

// StopWaiting is like mysqlops.Server.StopWaiting.
func (m *Mysqld) StopWaiting(ctx context.Context, soloVersion uint64) error {
	return m.do(ctx, "stop waiting for acknowledgements", func() error {
		switch {
		case !m.sourceOn:
			return nil
		case soloVersion == 0 && !(m.readOnly && m.superReadOnly):
			return mysqlops.ErrNotClosed
		case soloVersion == 0 && len(m.waiting) > 0:
			return mysqlops.ErrCommitsWaiting
		}
		m.sourceOn = false
		m.interruptions++
		m.release(m.binlog)
		return nil
	})
}

// CommitHeartbeat is like mysqlops.Server.CommitHeartbeat; it does not wait
// when the commit does, but fails with ErrDeadline at once.
func (m *Mysqld) CommitHeartbeat(ctx context.Context, _ int) error {
	return m.do(ctx, "commit heartbeat", func() error {
		if m.readOnly || m.superReadOnly {
			return mysqlops.ErrReadOnly
		}
		select {
		case err := <-m.commit().done:
			return err
		default:
			return mysqlops.ErrDeadline
		}
	})
}

// WaitApplied is like mysqlops.Server.WaitApplied.
func (m *Mysqld) WaitApplied(ctx context.Context, set gtid.Set, limit time.Duration) error {
	const operation = "wait for the applier"
	deadline := time.Now().Add(limit)
	for {
		var done bool
		err := m.do(ctx, operation, func() error {
			done = m.executed.Covers(set)
			if !done && m.applierError.Number != 0 && !m.applier {
				return fmt.Errorf("%w: %d %s", mysqlops.ErrApplier, m.applierError.Number, m.applierError.Message)
			}
			return nil
		})
		if err != nil || done {
			return err
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%s: %w", operation, mysqlops.ErrDeadline)
		}
		time.Sleep(time.Millisecond)
	}
}
