package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// unknownThread is mysqld's error for a session that has ended.
const unknownThread = 1094

// plainMember is one of them, and a connection to it.
type plainMember struct {
	*plain
	name string
	db   *sql.DB
	stop func()
}

// connect connects to a member that is there or will be. It blocks until its mysqld answers.
func (m *plainMember) connect(ctx context.Context) error {
	m.disconnect()
	return harness.Eventually(ctx, harness.Patience, "mysqld of "+m.name, func(ctx context.Context) error {
		pod, err := m.Pod(ctx, m.name)
		if err != nil {
			return err
		}
		if pod.DeletionTimestamp != nil || !ready(pod) {
			return harness.NotYet("its pod is not ready")
		}
		address, stop, err := m.Forward(ctx, m.Namespace, m.name, 3306)
		if err != nil {
			return err
		}
		config := mysql.NewConfig()
		config.User = "bench"
		config.Passwd = m.password
		config.Net = "tcp"
		config.Addr = address
		config.InterpolateParams = true
		config.Logger = &mysql.NopLogger{}
		config.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // the API server leads there
		connector, err := mysql.NewConnector(config)
		if err != nil {
			stop()
			return err
		}
		db := sql.OpenDB(connector)
		if err := db.PingContext(ctx); err != nil {
			stop()
			return errors.Join(err, db.Close())
		}
		m.db = db
		m.stop = stop
		return nil
	})
}

// disconnect is idempotent.
func (m *plainMember) disconnect() {
	if m != nil && m.db != nil {
		_ = m.db.Close()
		m.stop()
		m.db = nil
	}
}

func (m *plainMember) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %s: %w", m.name, s, err)
		}
	}
	return nil
}

// open makes it take writes, each of which waits for the other's acknowledgment.
func (m *plainMember) open(ctx context.Context) error {
	return m.exec(ctx, "SET GLOBAL rpl_semi_sync_source_enabled = ON", "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
}

// follow makes it replicate from another.
func (m *plainMember) follow(ctx context.Context, source *plainMember) error {
	host := m.Names().Host(pair.Ordinal(0))
	if source == m.members[1] {
		host = m.Names().Host(pair.Ordinal(1))
	}
	change := fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_USER='replica', SOURCE_PASSWORD='%s', SOURCE_SSL=1, "+
		"SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=100000", host, m.password)
	return m.exec(ctx, "SET GLOBAL super_read_only = ON", "SET GLOBAL rpl_semi_sync_source_enabled = OFF", change, "START REPLICA")
}

// executed is its GTID set.
func (m *plainMember) executed(ctx context.Context) (string, error) {
	var set string
	err := m.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&set)
	return set, err
}

// await blocks until it has executed a GTID set.
func (m *plainMember) await(ctx context.Context, set string) error {
	var late int
	if err := m.db.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 120)", set).Scan(&late); err != nil {
		return err
	}
	if late != 0 {
		return fmt.Errorf("%s has not executed %s within two minutes", m.name, set)
	}
	return nil
}

// killClients ends the sessions of clients. One that has ended meanwhile is no error.
func (m *plainMember) killClients(ctx context.Context) error {
	rows, err := m.db.QueryContext(ctx, "SELECT ID FROM performance_schema.processlist WHERE USER = 'app'")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range ids {
		err := m.exec(ctx, fmt.Sprintf("KILL %d", id))
		if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && refused.Number == unknownThread {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepRoles has each keep its role when its mysqld starts again.
func (p *plain) keepRoles(ctx context.Context) error {
	passive := p.members[1-p.primary]
	return errors.Join(
		p.members[p.primary].exec(ctx, "SET PERSIST_ONLY super_read_only = OFF", "SET PERSIST_ONLY rpl_semi_sync_source_enabled = ON"),
		passive.exec(ctx, "SET PERSIST_ONLY super_read_only = ON", "SET PERSIST_ONLY rpl_semi_sync_source_enabled = OFF"),
	)
}

// settled blocks until the passive acknowledges and has everything.
func (p *plain) settled(ctx context.Context) error {
	primary := p.members[p.primary]
	err := harness.Eventually(ctx, harness.Patience, "the passive of plain", func(ctx context.Context) error {
		var name string
		var acknowledging int
		err := primary.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_clients'").Scan(&name, &acknowledging)
		if err == nil && acknowledging != 1 {
			err = harness.NotYet("%d members acknowledge", acknowledging)
		}
		return err
	})
	if err != nil {
		return err
	}
	set, err := primary.executed(ctx)
	if err != nil {
		return err
	}
	return p.members[1-p.primary].await(ctx, set)
}
