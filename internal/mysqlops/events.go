package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The states of an event, as information_schema.EVENTS says them since 8.4.
const (
	eventEnabled         = "ENABLED"
	eventDisabled        = "DISABLED"
	eventReplicaDisabled = "REPLICA_SIDE_DISABLED"
)

// eventKey names an event.
type eventKey struct{ schema, name string }

func (k eventKey) String() string { return k.schema + "." + k.name }

// event is one event of the event scheduler with what ALTER EVENT would change beside its
// state: without a DEFINER it would be the account that alters it.
type event struct {
	key     eventKey
	status  string
	definer string
	sqlMode string
	zone    string
	// foreign: the state is not this member's own. mysqld replaced it when the event came
	// through the binary log of the other one.
	foreign bool
	// over: it runs once, and its time has passed.
	over bool
}

// disabledEvents is where a primary writes down which events are not enabled. Replication makes
// every event REPLICA_SIDE_DISABLED on the passive, also one that was disabled before, so that
// a promoted member could not tell which to enable.
const disabledEvents = "`" + SchemaOwn + "`.disabled_events"

const createDisabledEvents = "CREATE TABLE IF NOT EXISTS " + disabledEvents + " (" +
	"event_schema VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, event_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, " +
	"status VARCHAR(32) NOT NULL, PRIMARY KEY (event_schema, event_name)) ENGINE = InnoDB"

// eventsPatience bounds KeepEvents. Its commits wait for the passive as any other.
const eventsPatience = time.Minute

// KeepEvents makes the events of an open member its own: those that replication disabled here
// are enabled as they were on the former primary, and which are disabled is written down for
// the next one. It returns the events that it enabled. All it writes goes through the binary
// log, where it disables these events on the passive.
//
// It blocks while commits wait, a minute at most, and is idempotent. An event that was made or
// altered less than one call before its primary died is enabled whatever it was. One that runs
// once and whose time has passed stays disabled: the former primary may have run it.
func (s *Server) KeepEvents(ctx context.Context) (enabled []string, err error) {
	err = s.within(ctx, s.pool, eventsPatience, func(ctx context.Context, conn *sql.Conn) error {
		found, err := readEvents(ctx, conn)
		if err != nil {
			return err
		}
		noted, err := readDisabledEvents(ctx, conn)
		if err != nil {
			return err
		}
		for _, one := range found {
			state := stateOnPrimary(one, noted[one.key])
			if one.foreign && state != eventReplicaDisabled && !one.over {
				if err := alterEvent(ctx, conn, one, state); err != nil {
					return fmt.Errorf("event %s: %w", one.key, err)
				}
				if state == eventEnabled {
					enabled = append(enabled, one.key.String())
				}
			}
		}
		return noteDisabledEvents(ctx, conn, found, noted)
	})
	return enabled, wrap("keep events", err)
}

// stateOnPrimary is the state that the event has to have on the primary.
func stateOnPrimary(one event, noted string) string {
	switch {
	case !one.foreign:
		return one.status
	case noted != "":
		return noted
	default:
		return eventEnabled
	}
}

func readEvents(ctx context.Context, conn *sql.Conn) ([]event, error) {
	rows, err := conn.QueryContext(ctx,
		"SELECT EVENT_SCHEMA, EVENT_NAME, REPLACE(STATUS, 'SLAVESIDE', 'REPLICA_SIDE'), DEFINER, SQL_MODE, TIME_ZONE,"+
			" ORIGINATOR <> @@GLOBAL.server_id AND STATUS IN ('REPLICA_SIDE_DISABLED', 'SLAVESIDE_DISABLED'),"+
			" EVENT_TYPE = 'ONE TIME' AND EXECUTE_AT <= NOW() FROM information_schema.EVENTS")
	if err != nil {
		return nil, err
	}
	var all []event
	err = eachRow(rows, func() error {
		var one event
		var over sql.NullBool
		err := rows.Scan(&one.key.schema, &one.key.name, &one.status, &one.definer, &one.sqlMode, &one.zone, &one.foreign, &over)
		one.over = over.Bool
		all = append(all, one)
		return err
	})
	return all, err
}

// readDisabledEvents reads the note; there is none as long as no event was ever disabled.
func readDisabledEvents(ctx context.Context, conn *sql.Conn) (map[eventKey]string, error) {
	noted := map[eventKey]string{}
	rows, err := conn.QueryContext(ctx, "SELECT event_schema, event_name, status FROM "+disabledEvents)
	if number := errorNumber(err); number == errNoSuchTable || number == errUnknownDatabase {
		return noted, nil
	}
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func() error {
		var key eventKey
		var status string
		err := rows.Scan(&key.schema, &key.name, &status)
		noted[key] = status
		return err
	})
	return noted, err
}

// alterEvent changes nothing but the state. The session takes what mysqld would write into the
// event beside it.
func alterEvent(ctx context.Context, conn *sql.Conn, one event, state string) error {
	schema, err := quoteName(one.key.schema)
	if err != nil {
		return err
	}
	name, err := quoteName(one.key.name)
	if err != nil {
		return err
	}
	user, host, err := splitAccount(one.definer)
	if err != nil {
		return err
	}
	verb := "ENABLE"
	if state == eventDisabled {
		verb = "DISABLE"
	}
	if _, err := conn.ExecContext(ctx, "SET SESSION sql_mode = ?, SESSION time_zone = ?", one.sqlMode, one.zone); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ALTER DEFINER = "+user+"@"+host+" EVENT "+schema+"."+name+" "+verb)
	// The session goes back to the pool.
	back := execEach(context.WithoutCancel(ctx), conn, "SET SESSION sql_mode = @@GLOBAL.sql_mode, SESSION time_zone = @@GLOBAL.time_zone")
	if err != nil {
		return err
	}
	return back
}

// splitAccount quotes the two parts of user@host. A user's name may hold an at sign, a host's
// cannot.
func splitAccount(account string) (user, host string, err error) {
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return "", "", fmt.Errorf("%w: the definer %q has no host", ErrInvalid, account)
	}
	if user, err = quote(account[:at]); err != nil {
		return "", "", err
	}
	host, err = quote(account[at+1:])
	return user, host, err
}

// noteDisabledEvents makes the note say what is disabled now, in one transaction.
func noteDisabledEvents(ctx context.Context, conn *sql.Conn, found []event, noted map[eventKey]string) error {
	want := map[eventKey]string{}
	for _, one := range found {
		if state := stateOnPrimary(one, noted[one.key]); state != eventEnabled {
			want[one.key] = state
		}
	}
	if maps.Equal(want, noted) {
		return nil
	}
	if err := execEach(ctx, conn, "CREATE DATABASE IF NOT EXISTS `"+SchemaOwn+"`", createDisabledEvents); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for key := range noted {
		if _, ok := want[key]; ok {
			continue
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM "+disabledEvents+" WHERE event_schema = ? AND event_name = ?", key.schema, key.name)
		if err != nil {
			return err
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(want), func(a, b eventKey) int { return strings.Compare(a.String(), b.String()) }) {
		if noted[key] == want[key] {
			continue
		}
		if _, err := tx.ExecContext(ctx, "REPLACE INTO "+disabledEvents+" VALUES (?, ?, ?)", key.schema, key.name, want[key]); err != nil {
			return err
		}
	}
	return tx.Commit()
}
