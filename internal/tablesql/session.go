package tablesql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/pair"
)

const (
	connectLimit = 5 * time.Second
	// killLimit bounds the ending of sessions, which happens when the caller
	// has gone already.
	killLimit = 3 * time.Second
)

// settings make a row look the same on every member. collation_connection is
// binary so that a string of any character set is taken as its bytes;
// character_set_results NULL sends it so. ALLOW_INVALID_DATES lets any date
// that is stored stand in a condition.
var settings = map[string]string{
	"sql_mode":                 "'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'",
	"time_zone":                "'+00:00'",
	"character_set_connection": "binary",
	"character_set_results":    "NULL",
	"autocommit":               "1",
	"lock_wait_timeout":        "1",
	"innodb_lock_wait_timeout": "1",
	"wait_timeout":             "3600",
	"transaction_isolation":    "'REPEATABLE-READ'",
	"transaction_read_only":    "0",
	"completion_type":          "0",
	"sql_select_limit":         "18446744073709551615",
	"max_join_size":            "18446744073709551615",
	"max_execution_time":       "0",
	"sql_safe_updates":         "0",
	"show_gipk_in_create_table_and_information_schema": "ON",
}

// Member is a handle on one member. It is safe for concurrent use.
type Member struct {
	Endpoint
	db *sql.DB

	mu sync.Mutex
	// opened are all sessions there ever were; few, since they are used again.
	opened []int64
	// idle sessions are logged in and hold nothing.
	idle []*Session
}

// Session is one session, used by one goroutine at a time.
type Session struct {
	*sql.Conn
	// ID is what KILL takes.
	ID int64

	member *Member
}

// Connect returns a handle; it does not log in. program names the sessions in
// the member's process list.
func Connect(e Endpoint, program string) (*Member, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	cfg := mysql.NewConfig()
	cfg.User = e.User
	cfg.Net = "tcp"
	cfg.Addr = e.Addr
	cfg.TLS = e.TLS
	cfg.Timeout = connectLimit
	cfg.Logger = &mysql.NopLogger{}
	cfg.ConnectionAttributes = "program_name:" + program
	cfg.Params = maps.Clone(settings)
	err := cfg.Apply(mysql.BeforeConnect(func(_ context.Context, cfg *mysql.Config) error {
		if e.Password != nil {
			cfg.Passwd = e.Password().Reveal()
		}
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.Member, err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.Member, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(0) // a session is closed, never handed on with its state
	return &Member{Endpoint: e, db: db}, nil
}

// Session takes a session that was released, or logs in, which costs a TLS
// handshake. End it with Release or Close.
func (m *Member) Session(ctx context.Context) (*Session, error) {
	m.mu.Lock()
	if n := len(m.idle); n > 0 {
		session := m.idle[n-1]
		m.idle = m.idle[:n-1]
		m.mu.Unlock()
		return session, nil
	}
	m.mu.Unlock()
	return m.login(ctx)
}

func (m *Member) login(ctx context.Context) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return nil, m.fail("log in", err)
	}
	var id int64
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		_ = conn.Close()
		return nil, m.fail("log in", err)
	}
	m.mu.Lock()
	m.opened = append(m.opened, id)
	m.mu.Unlock()
	return &Session{
		Conn:   conn,
		ID:     id,
		member: m,
	}, nil
}

// MemberName is whose session it is.
func (s *Session) MemberName() pair.MemberName { return s.member.Member }

// Release ends the session's transaction and keeps the session for another
// user. One that holds table locks or that someone may be about to kill has to
// be closed instead.
func (s *Session) Release(ctx context.Context) {
	if err := s.Exec(ctx, "ROLLBACK"); err != nil {
		s.Close()
		return
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	s.member.idle = append(s.member.idle, s)
}

// Close ends the session. It is idempotent. A statement that its caller gave up
// runs on in the server until Member.Close kills it.
func (s *Session) Close() { _ = s.Conn.Close() }

// Exec runs statements in order.
func (s *Session) Exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := s.ExecContext(ctx, statement); err != nil {
			return s.member.fail("execute", err)
		}
	}
	return nil
}

// Rows runs a query and hands every row to scan as bytes, nil for NULL. The
// bytes are valid during the call only.
func (s *Session) Rows(ctx context.Context, query string, scan func([]sql.RawBytes) error) error {
	rows, err := s.QueryContext(ctx, query)
	if err != nil {
		return s.member.fail("read", err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return s.member.fail("read", err)
	}
	values := make([]sql.RawBytes, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return s.member.fail("read", err)
		}
		if err := scan(values); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.member.fail("read", err)
	}
	return nil
}

// Row runs a query for one row and returns it as text, NULL as "". The error is
// sql.ErrNoRows when there is none.
func (s *Session) Row(ctx context.Context, query string) ([]string, error) {
	var row []string
	err := s.Rows(ctx, query, func(values []sql.RawBytes) error {
		if row == nil {
			row = Texts(values)
		}
		return nil
	})
	if err == nil && row == nil {
		err = s.member.fail("read", sql.ErrNoRows)
	}
	return row, err
}

// Texts copies a row, NULL as "".
func Texts(values []sql.RawBytes) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = string(value)
	}
	return out
}

// Kill ends a session of the same account, from a new session, within seconds
// whatever becomes of the caller's context. A session that has gone is success.
func (m *Member) Kill(ids ...int64) error {
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	killer, err := m.login(ctx) // an idle one may have been killed
	if err != nil {
		return err
	}
	defer killer.Close()
	var failed []error
	for _, id := range ids {
		if err := killer.Kill(ctx, id); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// Kill ends another session of the same account; one that has gone is success.
func (s *Session) Kill(ctx context.Context, id int64) error {
	err := s.Exec(ctx, fmt.Sprintf("KILL CONNECTION %d", id))
	if errors.Is(err, ErrNoSuchThread) {
		return nil
	}
	return err
}

// Close ends all sessions, running statements included: a statement whose
// client has gone would otherwise run to its end.
func (m *Member) Close() {
	m.mu.Lock()
	ids := slices.Clone(m.opened)
	m.mu.Unlock()
	_ = m.Kill(ids...) // what cannot be reached ends with its connection
	_ = m.db.Close()
}
