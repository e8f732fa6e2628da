package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/gtid"
)

// sessionsQuery lists the sessions that came over a socket, one row each:
// mysqld's replication threads bear the name of the account that started them,
// and only the lack of a connection tells them from it. The age of an
// acknowledgement wait is that of its stage where mysqld measures stages (our
// option file asks for this one), else that of the statement, which is longer.
const sessionsQuery = `SELECT t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_HOST, t.PROCESSLIST_COMMAND,
	t.PROCESSLIST_ID = CONNECTION_ID() OR EXISTS (SELECT * FROM performance_schema.session_connect_attrs a
		WHERE a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = '` + nonceAttribute + `' AND a.ATTR_VALUE = ?),
	t.PROCESSLIST_COMMAND <> 'Sleep' OR EXISTS (SELECT * FROM performance_schema.events_transactions_current x
		WHERE x.THREAD_ID = t.THREAD_ID AND x.STATE = 'ACTIVE'),
	(SELECT MAX(u.VARIABLE_VALUE) FROM performance_schema.user_variables_by_thread u
		WHERE u.THREAD_ID = t.THREAD_ID AND u.VARIABLE_NAME IN ('replica_uuid', 'slave_uuid')),
	IF(t.PROCESSLIST_STATE LIKE 'Waiting for semi-sync ACK from %', COALESCE(
		(SELECT MAX(g.TIMER_WAIT) FROM performance_schema.events_stages_current g WHERE g.THREAD_ID = t.THREAD_ID AND g.EVENT_NAME IN (` + ackWait + `)),
		(SELECT MAX(m.TIMER_WAIT) FROM performance_schema.events_statements_current m WHERE m.THREAD_ID = t.THREAD_ID),
		t.PROCESSLIST_TIME * 1000000000000) DIV 1000000, 0)
	FROM performance_schema.threads t
	WHERE t.PROCESSLIST_ID IS NOT NULL AND t.PROCESSLIST_USER IS NOT NULL AND t.CONNECTION_TYPE IS NOT NULL`

// ownAccounts are not clients, whatever they do.
var ownAccounts = []string{UserReplication, UserClone, UserMonitor}

// loggingIn is the name of a session without an account yet.
const loggingIn = "unauthenticated user"

type session struct {
	id          int64
	user, host  string
	command     string
	mine        bool
	busy        bool
	replicaUUID string
	ackWait     time.Duration
}

func scanSession(rows *sql.Rows) (session, error) {
	var one session
	var host, command, uuid sql.NullString
	var wait sql.NullInt64
	err := rows.Scan(&one.id, &one.user, &host, &command, &one.mine, &one.busy, &uuid, &wait)
	one.host, one.command, one.replicaUUID = host.String, command.String, strings.Trim(uuid.String, "'")
	one.ackWait = time.Duration(wait.Int64) * time.Microsecond
	return one, err
}

func (one session) isDump() bool { return strings.HasPrefix(one.command, "Binlog Dump") }

func (one session) isClient() bool {
	return !one.mine && !one.isDump() && one.user != loggingIn && !slices.Contains(ownAccounts, one.user)
}

func (one session) dumpThread() DumpThread {
	// A reader that says nonsense of itself says nothing.
	uuid, _ := gtid.ParseServerUUID(one.replicaUUID)
	return DumpThread{SessionID: one.id, User: one.user, Host: one.host, ReplicaUUID: uuid, Command: one.command}
}

func listSessions(ctx context.Context, conn *sql.Conn, nonce string) ([]session, error) {
	rows, err := conn.QueryContext(ctx, sessionsQuery, nonce)
	if err != nil {
		return nil, err
	}
	var all []session
	err = eachRow(rows, func() error {
		one, err := scanSession(rows)
		all = append(all, one)
		return err
	})
	return all, err
}

// killSessions ends the chosen sessions and counts them; one that has gone by
// itself is not an error.
func killSessions(ctx context.Context, conn *sql.Conn, chosen []session) (int, error) {
	killed := 0
	for _, one := range chosen {
		_, err := conn.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", one.id))
		var server *mysql.MySQLError
		if errors.As(err, &server) && server.Number == errNoSuchThread {
			continue
		}
		if err != nil {
			return killed, err
		}
		killed++
	}
	return killed, nil
}

func choose(all []session, keep func(session) bool) []session {
	return slices.DeleteFunc(slices.Clone(all), func(one session) bool { return !keep(one) })
}

// ParseOwned reads gtid_owned, "uuid:1#17:2#18:tag:5#19,…", where the number
// after # is the session that holds the transaction.
func ParseOwned(text string) (gtid.Set, error) {
	var b strings.Builder
	skip := false
	for _, c := range text {
		switch {
		case c == '#':
			skip = true
		case c < '0' || c > '9':
			skip = false
		}
		if !skip {
			b.WriteRune(c)
		}
	}
	return gtid.Parse(b.String())
}
