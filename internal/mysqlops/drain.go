package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ClientSession is one session of a client: what a planned switchover waits for or closes.
type ClientSession struct {
	ID         int64
	User, Host string
	// InFlight: it runs a statement, is inside a transaction, or holds a lock that it would
	// lose (LOCK TABLES, GET_LOCK, FLUSH TABLES WITH READ LOCK, HANDLER).
	InFlight bool
	// DDL: it changes a definition now.
	DDL bool
	// Age is since when, of its transaction or else of its statement; since its last statement
	// when it is not in flight.
	Age time.Duration
	// Statement are the first characters of what it runs; empty when it runs nothing.
	Statement string
}

// statementShown is how much of a statement is shown, in characters.
const statementShown = 80

// inFlight is true of a session t that would lose something by being closed. A session that
// sleeps and holds a metadata lock is inside a transaction, or holds the lock explicitly.
const inFlight = `(t.PROCESSLIST_COMMAND <> 'Sleep'
	OR EXISTS (SELECT * FROM performance_schema.events_transactions_current x WHERE x.THREAD_ID = t.THREAD_ID AND x.STATE = 'ACTIVE')
	OR EXISTS (SELECT * FROM performance_schema.metadata_locks m WHERE m.OWNER_THREAD_ID = t.THREAD_ID AND m.LOCK_STATUS = 'GRANTED'))`

// changesDefinition is true of a session t that runs DDL.
const changesDefinition = `EXISTS (SELECT * FROM performance_schema.events_statements_current s WHERE s.THREAD_ID = t.THREAD_ID
	AND s.END_EVENT_ID IS NULL AND (s.EVENT_NAME LIKE 'statement/sql/alter\_%' OR s.EVENT_NAME LIKE 'statement/sql/create\_%'
		OR s.EVENT_NAME LIKE 'statement/sql/drop\_%' OR s.EVENT_NAME LIKE 'statement/sql/rename\_%'
		OR s.EVENT_NAME IN ('statement/sql/truncate', 'statement/sql/optimize', 'statement/sql/analyze', 'statement/sql/repair')))`

var clientSessionsQuery = `SELECT t.PROCESSLIST_ID, t.PROCESSLIST_USER, COALESCE(t.PROCESSLIST_HOST, ''), t.PROCESSLIST_COMMAND,
	` + inFlight + `, ` + changesDefinition + `,
	COALESCE((SELECT MAX(x.TIMER_WAIT) FROM performance_schema.events_transactions_current x
			WHERE x.THREAD_ID = t.THREAD_ID AND x.STATE = 'ACTIVE') DIV 1000000,
		t.PROCESSLIST_TIME * 1000000, 0),
	COALESCE(LEFT(t.PROCESSLIST_INFO, ` + fmt.Sprint(statementShown) + `), '')
	FROM performance_schema.threads t
	WHERE t.PROCESSLIST_ID IS NOT NULL AND t.PROCESSLIST_USER IS NOT NULL AND t.CONNECTION_TYPE IS NOT NULL
		AND t.PROCESSLIST_ID <> CONNECTION_ID() AND NOT EXISTS (SELECT * FROM performance_schema.session_connect_attrs a
			WHERE a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = '` + nonceAttribute + `' AND a.ATTR_VALUE = ?)
	ORDER BY 7 DESC`

// ClientSessions lists the sessions of clients, those in flight for longest first. The
// accounts of dbpair, readers of the binlog and this agent are not among them.
func (s *Server) ClientSessions(ctx context.Context) ([]ClientSession, error) {
	var all []ClientSession
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var err error
		all, err = listClients(ctx, conn, s.nonce)
		return err
	})
	return all, wrap("list the sessions of clients", err)
}

func listClients(ctx context.Context, conn *sql.Conn, nonce string) ([]ClientSession, error) {
	rows, err := conn.QueryContext(ctx, clientSessionsQuery, nonce)
	if err != nil {
		return nil, err
	}
	var all []ClientSession
	return all, eachRow(rows, func() error {
		var one ClientSession
		var command string
		var micros int64
		if err := rows.Scan(&one.ID, &one.User, &one.Host, &command, &one.InFlight, &one.DDL, &micros, &one.Statement); err != nil {
			return err
		}
		one.Age = time.Duration(micros) * time.Microsecond
		one.Statement = strings.Join(strings.Fields(one.Statement), " ")
		if (session{user: one.User, command: command}).isClient() {
			all = append(all, one)
		}
		return nil
	})
}

// Drained is one round of a drain.
type Drained struct {
	// Closed sessions in this round.
	Closed int
	// InFlight are those that were left, the oldest first.
	InFlight []ClientSession
}

// CloseIdleSessions closes the sessions of clients that are outside a transaction and run
// nothing, and then looks a number of times for one among the others that is so now: a client
// that writes without rest is outside a transaction for a fraction of a millisecond at a time. A look and
// its KILL are one packet, so that a client that begins a transaction at this moment loses it
// only if that came in the microseconds between the two. It is idempotent; a caller that
// drains calls it again and again.
func (s *Server) CloseIdleSessions(ctx context.Context) (Drained, error) {
	var out Drained
	err := s.within(ctx, s.drain, s.cfg.Timeouts.Read, func(ctx context.Context, conn *sql.Conn) error {
		all, err := listClients(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		out, err = closeIdle(ctx, conn, all)
		return err
	})
	return out, wrap("close idle sessions", err)
}

const (
	// looksPerRound is how often a round looks for a session that has just become idle.
	looksPerRound = 32
	// longForADrain is the age from which on what is in flight is not looked at again in a round.
	longForADrain = time.Second
)

func closeIdle(ctx context.Context, conn *sql.Conn, all []ClientSession) (Drained, error) {
	var out Drained
	open := map[int64]ClientSession{}
	var short []int64 // in flight, for not long
	for _, one := range all {
		closed := int64(0)
		if !one.InFlight {
			var err error
			if closed, err = closeOneOf(ctx, conn, []int64{one.ID}); err != nil {
				return out, err
			}
		}
		switch {
		case closed != 0:
			out.Closed++
			continue
		case one.Age < longForADrain:
			short = append(short, one.ID)
		}
		// One that was idle a moment ago has begun something, or has gone.
		open[one.ID] = one
	}
	for look := 0; look < looksPerRound && len(short) > 0; look++ {
		closed, err := closeOneOf(ctx, conn, short)
		if err != nil {
			return out, err
		}
		if closed != 0 {
			out.Closed++
			delete(open, closed)
			short = slices.DeleteFunc(short, func(id int64) bool { return id == closed })
		}
	}
	for _, one := range all {
		if _, left := open[one.ID]; left {
			out.InFlight = append(out.InFlight, one)
		}
	}
	return out, nil
}

// closeOneOf closes one of these sessions that is idle and returns its number; 0 for none. It needs
// a session that takes several statements in one packet.
func closeOneOf(ctx context.Context, conn *sql.Conn, ids []int64) (int64, error) {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	var closed int64
	err := conn.QueryRowContext(ctx, `SET @dbpair_session = 0;
		SELECT t.PROCESSLIST_ID INTO @dbpair_session FROM performance_schema.threads t
			WHERE t.PROCESSLIST_ID IN (`+strings.Join(list, ",")+`) AND NOT `+inFlight+` LIMIT 1;
		KILL CONNECTION @dbpair_session;
		SELECT @dbpair_session`).Scan(&closed)
	if errorNumber(err) == errNoSuchThread {
		return 0, nil
	}
	return closed, err
}
