package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Time limits of a session. A refused client gets its error at once; only a machine that went
// silent runs into these.
const (
	dialTimeout = 2 * time.Second
	readTimeout = 8 * time.Second
)

// config is that of a host, or of host:port.
func (o options) config(host string) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.User = o.user
	cfg.Passwd = o.password
	cfg.DBName = o.database
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(host, o.port)
	if name, _, err := net.SplitHostPort(host); err == nil {
		cfg.Addr = host
		host = name
	}
	cfg.Timeout = dialTimeout
	cfg.ReadTimeout = readTimeout
	cfg.WriteTimeout = readTimeout
	cfg.InterpolateParams = true
	cfg.Logger = &mysql.NopLogger{}
	cfg.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // without DB_CA only the transport is under test
	if o.caFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("read DB_CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read DB_CA: no certificate in %s", o.caFile)
	}
	cfg.TLS = &tls.Config{
		RootCAs:    pool,
		ServerName: host,
		MinVersion: tls.VersionTLS12,
	}
	return cfg, nil
}

// session is one connection, so that no pool repeats a statement behind our back.
type session struct {
	db     *sql.DB
	conn   *sql.Conn
	server string
}

func dial(ctx context.Context, connector driver.Connector) (*session, error) {
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &session{db: db, conn: conn}
	if err := conn.QueryRowContext(ctx, "SELECT @@server_uuid").Scan(&s.server); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() {
	_ = s.conn.Close()
	_ = s.db.Close()
}

// errorClass is a short name for an error, so that a record of many stays small.
func errorClass(err error) string {
	var my *mysql.MySQLError
	var netErr net.Error
	switch {
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number)) + " " + my.Message
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return err.Error()
	}
}
