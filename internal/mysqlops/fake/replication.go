package fake

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// ConfigureChannel is like mysqlops.Server.ConfigureChannel.
func (m *Mysqld) ConfigureChannel(ctx context.Context, source mysqlops.Source, rotated bool) (changed bool, err error) {
	err = m.do(ctx, "configure replication channel", func() error {
		before := m.source
		before.Password = source.Password
		if m.configured && before == source && !rotated {
			return nil
		}
		if !m.relay.Subtract(m.binlog).IsEmpty() && !m.applier {
			return mysqlops.ErrUnapplied
		}
		if m.configured {
			m.applier = true
		}
		m.source = source
		m.configured = true
		m.receiver = false
		m.acknowledging = false
		changed = true
		return nil
	})
	return changed, err
}

// StartReceiver is like mysqlops.Server.StartReceiver.
func (m *Mysqld) StartReceiver(ctx context.Context) error {
	return m.withChannel(ctx, "start receiver", func() { m.receiver = true })
}

// StartApplier is like mysqlops.Server.StartApplier.
func (m *Mysqld) StartApplier(ctx context.Context) error {
	return m.withChannel(ctx, "start applier", func() {
		m.applier = true
		m.applierError = mysqlops.ChannelError{}
	})
}

func (m *Mysqld) withChannel(ctx context.Context, operation string, fn func()) error {
	return m.do(ctx, operation, func() error {
		if !m.configured {
			return mysqlops.ErrNoChannel
		}
		fn()
		return nil
	})
}

// StopReceiver is like mysqlops.Server.StopReceiver.
func (m *Mysqld) StopReceiver(ctx context.Context) error {
	return m.do(ctx, "stop receiver", func() error {
		m.receiver = false
		m.acknowledging = false
		return nil
	})
}

// StopApplier is like mysqlops.Server.StopApplier.
func (m *Mysqld) StopApplier(ctx context.Context) error {
	return m.do(ctx, "stop applier", func() error { m.applier = false; return nil })
}

// ResetReplicaAll is like mysqlops.Server.ResetReplicaAll.
func (m *Mysqld) ResetReplicaAll(ctx context.Context, discard bool) error {
	return m.do(ctx, "reset replica", func() error {
		if left := m.relay.Subtract(m.binlog); !left.IsEmpty() && !discard {
			return fmt.Errorf("%w: %s", mysqlops.ErrUnapplied, left)
		}
		m.forgetChannel()
		return nil
	})
}

func (m *Mysqld) forgetChannel() {
	m.configured = false
	m.receiver = false
	m.acknowledging = false
	m.applier = false
	m.source = mysqlops.Source{}
	m.sourceUUID = ""
	m.relay = gtid.Set{}
	m.applierError = mysqlops.ChannelError{}
}

// SetReplicaAcknowledges is like mysqlops.Server.SetReplicaAcknowledges.
func (m *Mysqld) SetReplicaAcknowledges(ctx context.Context, on bool) error {
	return m.do(ctx, "switch acknowledging", func() error {
		m.replicaOn = on
		m.acknowledging = false
		return nil
	})
}

// CutForeignDumpThreads is like mysqlops.Server.CutForeignDumpThreads.
func (m *Mysqld) CutForeignDumpThreads(ctx context.Context, account string, peer gtid.ServerUUID) ([]mysqlops.DumpThread, error) {
	var cut []mysqlops.DumpThread
	err := m.do(ctx, "cut foreign binlog readers", func() error {
		for _, other := range m.net.byAddr {
			if m.net.sourceOf(other) != m || (other.source.User == account && (peer == "" || other.uuid == peer)) {
				continue
			}
			other.receiver = false
			other.acknowledging = false
			cut = append(cut, mysqlops.DumpThread{
				User:        other.source.User,
				ReplicaUUID: other.uuid,
				Command:     "Binlog Dump GTID",
			})
		}
		return nil
	})
	return cut, err
}

// PurgeBinlogs is like mysqlops.Server.PurgeBinlogs; the binlog of the model
// is one file, the one being written, so that nothing is ever removed.
func (m *Mysqld) PurgeBinlogs(ctx context.Context, _ mysqlops.PurgeLimits) (mysqlops.Purged, error) {
	return mysqlops.Purged{}, m.do(ctx, "purge binlogs", func() error {
		if len(m.waiting) > 0 {
			return mysqlops.ErrCommitsWaiting
		}
		return nil
	})
}

// ReloadTLS is like mysqlops.Server.ReloadTLS.
func (m *Mysqld) ReloadTLS(ctx context.Context) error {
	return m.do(ctx, "reload TLS", func() error { return nil })
}

// CreateAccounts is like mysqlops.Server.CreateAccounts.
func (m *Mysqld) CreateAccounts(ctx context.Context, p mysqlops.Passwords, _ mysqlops.AppAccount) error {
	return m.do(ctx, "create accounts", func() error {
		for _, secret := range []mysqlops.Secret{p.Root, p.Replication, p.Clone, p.Monitor, p.App} {
			if secret.IsZero() {
				return fmt.Errorf("%w: empty password", mysqlops.ErrInvalid)
			}
		}
		if !m.executed.IsEmpty() {
			return mysqlops.ErrHistory
		}
		return nil
	})
}

// SetPassword is like mysqlops.Server.SetPassword.
func (m *Mysqld) SetPassword(ctx context.Context, _ mysqlops.Account, password mysqlops.Secret) error {
	return m.replicated(ctx, "set password", !password.IsZero())
}

// DiscardOldPassword is like mysqlops.Server.DiscardOldPassword.
func (m *Mysqld) DiscardOldPassword(ctx context.Context, _ mysqlops.Account) error {
	return m.replicated(ctx, "discard old password", true)
}

func (m *Mysqld) replicated(ctx context.Context, operation string, valid bool) error {
	return m.do(ctx, operation, func() error {
		switch {
		case !valid:
			return fmt.Errorf("%w: empty password", mysqlops.ErrInvalid)
		case m.superReadOnly:
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

// CloneFrom is like mysqlops.Server.CloneFrom: mysqld is down afterwards, with
// the donor's history and channel.
func (m *Mysqld) CloneFrom(ctx context.Context, donor mysqlops.Donor, progress func(mysqlops.CloneProgress)) error {
	return m.do(ctx, "clone", func() error {
		from := m.net.byAddr[net.JoinHostPort(donor.Host, strconv.Itoa(donor.Port))]
		if from == nil || from == m || !from.up || m.net.cut[[2]*Mysqld{m, from}] {
			return mysqlops.ErrClone
		}
		if progress != nil {
			progress(mysqlops.CloneProgress{
				Stage:   "FILE COPY",
				Bytes:   1,
				Total:   1,
				Started: m.net.now(),
			})
		}
		m.kill()
		m.forgetChannel()
		m.binlog = from.executed
		m.executed = from.executed
		m.purged = from.executed
		m.next = 0
		m.configured = from.configured
		m.source = from.source
		m.clone = mysqlops.CloneProgress{
			Stage:   "RECOVERY",
			Bytes:   1,
			Total:   1,
			Started: m.net.now(),
		}
		return nil
	})
}

// CloneState is like mysqlops.Server.CloneState.
func (m *Mysqld) CloneState(ctx context.Context) (mysqlops.CloneProgress, error) {
	var state mysqlops.CloneProgress
	err := m.do(ctx, "read clone progress", func() error { state = m.clone; return nil })
	return state, err
}
