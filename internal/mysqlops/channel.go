package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// retries is the most a channel can be told to try; at one a second it is 68
// years, and 0, which the server documents as "no limit", is one too.
const retries = 0

func configureChannel(ctx context.Context, conn *sql.Conn, source Source, rotated bool) (bool, error) {
	var status Status
	for _, look := range []func(context.Context, *sql.Conn, *Status) error{observeGlobals, observeReceiver, observeApplier} {
		if err := look(ctx, conn, &status); err != nil {
			return false, err
		}
	}
	same, err := channelIs(ctx, conn, source)
	if err != nil || (same && !rotated) {
		return false, err
	}
	unapplied := !status.Received.Subtract(status.Executed).IsEmpty()
	if unapplied && !status.Channel.ApplierRunning {
		return false, ErrUnapplied
	}
	if status.Channel.Configured {
		// With the applier running mysqld keeps the relay log.
		if err := execEach(ctx, conn, "STOP REPLICA IO_THREAD", "START REPLICA SQL_THREAD"); err != nil {
			return false, err
		}
	}
	statement, err := changeSource(source, !status.Channel.Configured)
	if err != nil {
		return false, err
	}
	_, err = conn.ExecContext(ctx, statement)
	return err == nil, err
}

// channelIs compares everything that can be read back.
func channelIs(ctx context.Context, conn *sql.Conn, source Source) (bool, error) {
	var same bool
	err := conn.QueryRowContext(ctx, `SELECT HOST = ? AND PORT = ? AND USER = ? AND SSL_ALLOWED = 'YES' AND SSL_CA_FILE = ?
		AND SSL_CERTIFICATE = ? AND SSL_KEY = ? AND AUTO_POSITION = 1 AND CONNECTION_RETRY_INTERVAL = 1 AND HEARTBEAT_INTERVAL = 1
		AND CONNECTION_RETRY_COUNT = ?
		FROM performance_schema.replication_connection_configuration WHERE CHANNEL_NAME = ''`,
		source.Host, source.Port, source.User, source.TLS.CA, source.TLS.Cert, source.TLS.Key, retries).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return same, err
}

func changeSource(source Source, first bool) (string, error) {
	options := []string{
		fmt.Sprintf("SOURCE_PORT = %d", source.Port),
		"SOURCE_SSL = 1",
		"SOURCE_CONNECT_RETRY = 1",
		fmt.Sprintf("SOURCE_RETRY_COUNT = %d", retries),
		"SOURCE_HEARTBEAT_PERIOD = 1",
	}
	if first {
		options = append(options, "SOURCE_AUTO_POSITION = 1")
	}
	for _, option := range []struct{ name, value string }{
		{"SOURCE_HOST", source.Host},
		{"SOURCE_USER", source.User},
		{"SOURCE_PASSWORD", source.Password.Reveal()},
		{"SOURCE_SSL_CA", source.TLS.CA},
		{"SOURCE_SSL_CERT", source.TLS.Cert},
		{"SOURCE_SSL_KEY", source.TLS.Key},
	} {
		quoted, err := quote(option.value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", option.name, err)
		}
		options = append(options, option.name+" = "+quoted)
	}
	return "CHANGE REPLICATION SOURCE TO " + strings.Join(options, ", "), nil
}

func (s *Server) stopThread(ctx context.Context, operation, statement string) error {
	err := s.execAll(ctx, operation, statement)
	if errors.Is(classify(err), ErrNoChannel) {
		return nil
	}
	return err
}

func setReplicaAcknowledges(ctx context.Context, conn *sql.Conn, on bool) error {
	var status Status
	if err := observeCounters(ctx, conn, &status); err != nil {
		return err
	}
	if err := observeReceiver(ctx, conn, &status); err != nil {
		return err
	}
	if status.SemiSync.ReplicaEnabled != on {
		if _, err := conn.ExecContext(ctx, "SET GLOBAL rpl_semi_sync_replica_enabled = ?", on); err != nil {
			return err
		}
	}
	if status.Channel.Receiver == ReceiverStopped || status.Channel.Receiver == "" || status.SemiSync.ReplicaActive == on {
		return nil
	}
	return execEach(ctx, conn, "STOP REPLICA IO_THREAD", "START REPLICA IO_THREAD")
}

// quote returns text as a string literal of the sql_mode that our sessions
// have. Control characters are refused: no name or password needs them.
func quote(text string) (string, error) {
	for _, c := range text {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return "", fmt.Errorf("%w: control character", ErrInvalid)
		}
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'", nil
}

func quoteName(name string) (string, error) {
	if name == "" || len(name) > 64 {
		return "", fmt.Errorf("%w: name of 1 to 64 characters", ErrInvalid)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return "", fmt.Errorf("%w: control character", ErrInvalid)
		}
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`", nil
}
