package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// ErrTimeZone: mysqld does not know a time zone.
var ErrTimeZone = errors.New("unknown time zone")

const errUnknownTimeZone = 1298

// timeZonesLimit bounds loading some hundred zones, on a slow volume too.
const timeZonesLimit = 2 * time.Minute

// repeatedZone is the statement that names a zone with leap seconds, or one that has another
// name already. The system's directory has both in folders of their own, and they make two
// thirds of what is in it.
var repeatedZone = regexp.MustCompile(`^INSERT INTO time_zone_name \(Name, Time_zone_id\) VALUES \('(right|posix)/`)

const beginZone = "INSERT INTO time_zone (Use_leap_seconds)"

// LoadTimeZones fills the tables of time zones from what mysql_tzinfo_to_sql printed, without
// a trace in the member's history, and puts super_read_only back. It is for data that is being
// made: it fails with ErrHistory on a member that has transactions. It is idempotent and
// blocks up to two minutes.
func (s *Server) LoadTimeZones(ctx context.Context, script string) error {
	const operation = "load time zones"
	statements := timeZoneStatements(script)
	if len(statements) == 0 {
		return wrap(operation, fmt.Errorf("%w: no statements about time zones", ErrInvalid))
	}
	return wrap(operation, s.within(ctx, s.pool, timeZonesLimit, func(ctx context.Context, conn *sql.Conn) error {
		var executed string
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&executed); err != nil {
			return err
		}
		if executed != "" {
			return ErrHistory
		}
		return unlogged(ctx, conn, s.cfg.Timeouts.Change, func() error {
			if _, err := conn.ExecContext(ctx, "USE mysql"); err != nil {
				return err
			}
			return execEach(ctx, conn, statements...)
		})
	}))
}

// timeZoneStatements are those of a script, without zones that are repeated.
func timeZoneStatements(script string) []string {
	var kept, zone []string
	repeated := false
	flush := func() {
		if !repeated {
			kept = append(kept, zone...)
		}
		zone = nil
		repeated = false
	}
	for statement := range strings.SplitSeq(script, ";\n") {
		statement = strings.TrimSpace(statement)
		if statement == "" {
			continue
		}
		if strings.HasPrefix(statement, beginZone) || statement == "COMMIT" {
			flush()
		}
		repeated = repeated || repeatedZone.MatchString(statement)
		zone = append(zone, statement)
	}
	flush()
	return kept
}

// CheckTimeZone fails with ErrTimeZone when the server cannot have this default_time_zone.
func (s *Server) CheckTimeZone(ctx context.Context, zone string) error {
	const operation = "check time zone"
	return wrap(operation, s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		// The session is not given back with another zone.
		defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "SET SESSION time_zone = DEFAULT") }()
		_, err := conn.ExecContext(ctx, "SET SESSION time_zone = ?", zone)
		if errorNumber(err) == errUnknownTimeZone {
			return fmt.Errorf("%w %q", ErrTimeZone, zone)
		}
		return err
	}))
}
