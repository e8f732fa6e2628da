package mysqlops

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// fenceSessions is how many sessions the fence path holds: one may be stuck in
// a statement while the other goes on.
const fenceSessions = 2

// poolSessions bounds the sessions for everything but the fence. Heartbeats that wait for
// their acknowledgement leave some for looks, and for what ends the waiting.
const poolSessions = maxPendingHeartbeats + 4

// nonceAttribute marks this agent's sessions in mysqld's own tables. Its value
// is random per Server, so that no client can hide behind it.
const nonceAttribute = "dbpair_nonce"

// Server is a handle on one mysqld. It is safe for concurrent use, survives
// restarts of its mysqld and logs in again where needed, except on the fence
// path.
type Server struct {
	cfg   Config
	nonce string
	pool  *sql.DB
	drain *sql.DB // its session takes several statements in one packet
	fence *fencePath

	heartbeats chan struct{}
}

// Open returns a handle. It does not connect and cannot fail for want of a
// running mysqld.
func Open(cfg Config) *Server {
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	if cfg.User == "" {
		cfg.User = "root"
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	s := &Server{
		cfg:        cfg,
		nonce:      hex.EncodeToString(random[:]),
		heartbeats: make(chan struct{}, maxPendingHeartbeats),
	}
	s.pool = s.newPool(poolSessions, oneStatement)
	s.drain = s.newPool(1, severalStatements)
	s.fence = &fencePath{db: s.newPool(fenceSessions, oneStatement)}
	return s
}

// Disconnect ends all sessions. The handle is of no use afterwards.
func (s *Server) Disconnect() {
	s.fence.discard()
	_ = s.fence.db.Close()
	_ = s.pool.Close()
	_ = s.drain.Close()
}

// Whether a session takes one statement or several in a packet.
const (
	oneStatement      = false
	severalStatements = true
)

func (s *Server) newPool(size int, several bool) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User = s.cfg.User
	cfg.Net, cfg.Addr = "unix", s.cfg.Socket
	if s.cfg.Socket == "" {
		cfg.Net, cfg.Addr = "tcp", s.cfg.Address
		cfg.TLSConfig = "preferred"
	}
	cfg.Timeout = s.cfg.Timeouts.Connect
	cfg.Logger = &mysql.NopLogger{}
	cfg.InterpolateParams = true
	cfg.MultiStatements = several
	cfg.ConnectionAttributes = "program_name:dbpair-agent," + nonceAttribute + ":" + s.nonce
	// Quoting relies on sql_mode; a warm session must outlive a quiet year;
	// one second is the shortest lock wait there is.
	cfg.Params = map[string]string{
		"sql_mode":          "'STRICT_ALL_TABLES'",
		"wait_timeout":      "31536000",
		"lock_wait_timeout": "1",
		"time_zone":         "'+00:00'",
		"autocommit":        "1",
	}
	// Apply fails for no option used here.
	_ = cfg.Apply(mysql.BeforeConnect(func(_ context.Context, cfg *mysql.Config) error {
		if s.cfg.Password != nil {
			cfg.Passwd = s.cfg.Password().Reveal()
		}
		return nil
	}))
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		// Only a DSN that this function itself got wrong ends here.
		panic(fmt.Sprintf("mysqlops: connector: %v", err))
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// Ping reports whether mysqld answers a statement.
func (s *Server) Ping(ctx context.Context) error {
	return wrap("ping", s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "DO 1")
		return err
	}))
}

// Warm opens the sessions of the fence path, or opens those again that were
// lost. It is idempotent and cheap; call it after every start of mysqld and on
// every tick while all is well, since the fence path itself never logs in.
func (s *Server) Warm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Connect)
	defer cancel()
	return wrap("warm the fence path", s.fence.warm(ctx))
}

// read runs fn on one session of the pool within the read deadline.
func (s *Server) read(ctx context.Context, fn func(context.Context, *sql.Conn) error) error {
	return s.within(ctx, s.pool, s.cfg.Timeouts.Read, fn)
}

// change runs fn on one session of the pool within the change deadline.
func (s *Server) change(ctx context.Context, fn func(context.Context, *sql.Conn) error) error {
	return s.within(ctx, s.pool, s.cfg.Timeouts.Change, fn)
}

func (s *Server) within(ctx context.Context, pool *sql.DB, limit time.Duration, fn func(context.Context, *sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return preferContext(ctx, err)
	}
	defer conn.Close()
	return preferContext(ctx, fn(ctx, conn))
}

// preferContext says "deadline" where the driver only saw its connection go.
func preferContext(ctx context.Context, err error) error {
	cutOff := err != nil && ctx.Err() != nil
	if cutOff && errorNumber(err) == 0 && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func (s *Server) execAll(ctx context.Context, operation string, statements ...string) error {
	return wrap(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return execEach(ctx, conn, statements...)
	}))
}

func execEach(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// fencePath holds the warm sessions. A session that missed a deadline is given
// up by its user and replaced at the next warm.
type fencePath struct {
	db *sql.DB

	warming sync.Mutex // of those who log in, one at a time

	mu    sync.Mutex
	conns []*sql.Conn
}

// warm holds nothing that a fence needs while it logs in, since a login can hang.
func (f *fencePath) warm(ctx context.Context) error {
	f.warming.Lock()
	defer f.warming.Unlock()
	for missing := fenceSessions - f.living(ctx); missing > 0; missing-- {
		conn, err := f.db.Conn(ctx)
		if err != nil {
			return preferContext(ctx, err)
		}
		f.giveBack([]*sql.Conn{conn})
	}
	return nil
}

// living drops the sessions that were lost and counts the others.
func (f *fencePath) living(ctx context.Context) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = slices.DeleteFunc(f.conns, func(conn *sql.Conn) bool {
		if _, err := conn.ExecContext(ctx, "DO 1"); err == nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return len(f.conns)
}

// take hands out the sessions that are there; the caller owns them.
func (f *fencePath) take() []*sql.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.conns
	f.conns = nil
	return taken
}

func (f *fencePath) giveBack(conns []*sql.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, conns...)
}

func (f *fencePath) discard() {
	for _, conn := range f.take() {
		_ = conn.Close()
	}
}
