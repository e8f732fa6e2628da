package mysqlops

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
		(SELECT MAX(g.TIMER_WAIT) FROM performance_schema.events_stages_current g
			WHERE g.THREAD_ID = t.THREAD_ID AND g.EVENT_NAME IN (` + ackWait + `)),
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
	return DumpThread{
		SessionID:   one.id,
		User:        one.user,
		Host:        one.host,
		ReplicaUUID: uuid,
		Command:     one.command,
	}
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
	return parseOwned(text, func(string) bool { return true })
}

// splitOwned reads gtid_owned and tells what threads of the applier hold from what others
// do; appliers is a JSON list of their session numbers, or empty.
func splitOwned(text, appliers string) (others, applying gtid.Set, err error) {
	var ids []int64
	if appliers != "" {
		if err := json.Unmarshal([]byte(appliers), &ids); err != nil {
			return others, applying, fmt.Errorf("sessions of the applier: %w", err)
		}
	}
	isApplier := func(session string) bool {
		id, err := strconv.ParseInt(session, 10, 64)
		return err == nil && slices.Contains(ids, id)
	}
	if applying, err = parseOwned(text, isApplier); err != nil {
		return others, applying, err
	}
	others, err = parseOwned(text, func(session string) bool { return !isApplier(session) })
	return others, applying, err
}

// parseOwned reads those entries of gtid_owned whose session is wanted: "number#session",
// where a tag before it holds for all that follow.
func parseOwned(text string, wanted func(session string) bool) (gtid.Set, error) {
	var kept []string
	for group := range strings.SplitSeq(text, ",") {
		server, entries, _ := strings.Cut(strings.TrimSpace(group), ":")
		tag := ""
		for entry := range strings.SplitSeq(entries, ":") {
			number, session, owned := strings.Cut(entry, "#")
			switch {
			case !owned:
				tag = entry + ":"
			case wanted(session):
				kept = append(kept, server+":"+tag+number)
			}
		}
	}
	return gtid.Parse(strings.Join(kept, ","))
}
