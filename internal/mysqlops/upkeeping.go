package mysqlops

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
)

// Error names the settings, without limit: there are few and all matter.
func (e *DriftError) Error() string {
	parts := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		parts[i] = d.String()
	}
	return ErrNotAsOwned.Error() + ": " + strings.Join(parts, "; ")
}

// Is makes errors.Is(err, ErrNotAsOwned) true.
func (e *DriftError) Is(target error) bool { return target == ErrNotAsOwned }

// String says what differs.
func (d Difference) String() string {
	if d.Missing {
		return fmt.Sprintf("%s: want %q, the server has no such variable", d.Variable, d.Want)
	}
	return fmt.Sprintf("%s: want %q, is %q", d.Variable, d.Want, d.Got)
}

func (s *Server) verifyOwned(ctx context.Context, want []mycnf.Expectation) ([]Difference, error) {
	names := make([]string, len(want))
	for i, one := range want {
		names[i] = one.Variable
	}
	values, err := s.Globals(ctx, names)
	if err != nil {
		return nil, wrap("verify owned settings", err)
	}
	return compareOwned(values, want), nil
}

// readVariables asks for each by name: the table of all variables does not
// answer in every state (see observeCounters). One that the server does not
// know is left out.
func readVariables(ctx context.Context, conn *sql.Conn, names []string) (map[string]string, error) {
	values := make(map[string]string, len(names))
	for _, name := range names {
		if !isVariable(name) {
			return nil, fmt.Errorf("%w: variable %q", ErrInvalid, name)
		}
		var value sql.NullString
		err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL."+name).Scan(&value)
		switch {
		case errorNumber(err) == errUnknownVariable:
		case err != nil:
			return nil, err
		default:
			values[name] = value.String
		}
	}
	return values, nil
}

func isVariable(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func compareOwned(values map[string]string, want []mycnf.Expectation) []Difference {
	var differences []Difference
	for _, one := range want {
		got, found := values[one.Variable]
		if !found || !sameValue(got, one.Want) {
			differences = append(differences, Difference{
				Variable: one.Variable,
				Want:     one.Want,
				Got:      got,
				Missing:  !found,
			})
		}
	}
	slices.SortFunc(differences, func(a, b Difference) int { return cmp.Compare(a.Variable, b.Variable) })
	return differences
}

func sameValue(a, b string) bool { return canonical(a) == canonical(b) }

func canonical(value string) string {
	switch upper := strings.ToUpper(strings.TrimSpace(value)); upper {
	case "ON", "1", "TRUE", "YES":
		return "1"
	case "OFF", "0", "FALSE", "NO":
		return "0"
	default:
		if strings.HasPrefix(upper, "/") {
			return path.Clean(value)
		}
		if number, err := strconv.ParseFloat(upper, 64); err == nil {
			return strconv.FormatFloat(number, 'f', -1, 64)
		}
		return upper
	}
}

type binlogFile struct {
	name string
	size int64
}

func (s *Server) purgeBinlogs(ctx context.Context, limits PurgeLimits) (Purged, error) {
	const operation = "purge binlogs"
	status, err := s.Status(ctx)
	if err != nil {
		return Purged{}, wrap(operation, err)
	}
	if status.SemiSync.WaitSessions > 0 {
		return Purged{}, wrap(operation, ErrCommitsWaiting)
	}
	var purged Purged
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		files, err := listBinlogs(ctx, conn)
		if err != nil {
			return err
		}
		for _, file := range files {
			purged.Left += file.size
		}
		for len(files) > 1 && !limits.KeepAll {
			file := files[0]
			next := files[1]
			may, err := limits.allow(ctx, conn, file.name, next.name, purged.Left)
			if err != nil {
				return err
			}
			if !may {
				break
			}
			if _, err := conn.ExecContext(ctx, "PURGE BINARY LOGS TO ?", next.name); err != nil {
				return err
			}
			purged.Files++
			purged.Bytes += file.size
			purged.Left -= file.size
			files = files[1:]
		}
		if limits.MaxBytes > 0 && purged.Left >= limits.MaxBytes/2 {
			purged.Lacking, err = limits.lacking(ctx, conn, files, purged.Left)
		}
		return err
	})
	return purged, wrap(operation, err)
}

// lacking is the size of the files from the first one on that the peer has not whole.
func (l PurgeLimits) lacking(ctx context.Context, conn *sql.Conn, files []binlogFile, total int64) (int64, error) {
	for i := range files[:max(0, len(files)-1)] {
		before, err := gtidsBefore(ctx, conn, files[i+1].name)
		if err != nil {
			return 0, err
		}
		if !l.Received.Covers(before) {
			return total, nil
		}
		total -= files[i].size
	}
	// The file being written counts only behind one that is lacking.
	return 0, nil
}

// allow reports whether file may go: it is over a limit, and the peer and the archive have all
// that comes before next, the file after it, as far as they have to.
func (l PurgeLimits) allow(ctx context.Context, conn *sql.Conn, file, next string, total int64) (bool, error) {
	over := l.MaxBytes > 0 && total > l.MaxBytes
	withoutPeer := over && l.WithoutPeer
	if !over && l.MaxAge > 0 {
		age, err := binlogAge(ctx, conn, file)
		if err != nil {
			return false, err
		}
		over = age > l.MaxAge
	}
	if !over {
		return false, nil
	}
	forArchive := l.Backlog > 0 && total <= l.Backlog
	if withoutPeer && !forArchive {
		return true, nil
	}
	before, err := gtidsBefore(ctx, conn, next)
	if err != nil || (forArchive && !l.Archived.Covers(before)) {
		return false, err
	}
	return withoutPeer || l.Received.Covers(before), nil
}

// binlogAge looks at the file itself: no statement tells its age. The agent
// shares mysqld's volume.
func binlogAge(ctx context.Context, conn *sql.Conn, file string) (time.Duration, error) {
	var base string
	if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.log_bin_basename").Scan(&base); err != nil {
		return 0, err
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(base), filepath.Base(file)))
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// gtidsBefore returns what all files before this one hold, which each file
// says at its beginning.
func gtidsBefore(ctx context.Context, conn *sql.Conn, file string) (gtid.Set, error) {
	rows, err := conn.QueryContext(ctx, "SHOW BINLOG EVENTS IN ? LIMIT 2", file)
	if err != nil {
		return gtid.Set{}, err
	}
	var set gtid.Set
	found := false
	err = eachRow(rows, func() error {
		var name, kind, info string
		var pos, server, end int64
		if err := rows.Scan(&name, &pos, &kind, &server, &end, &info); err != nil {
			return err
		}
		if kind != "Previous_gtids" {
			return nil
		}
		found = true
		var err error
		set, err = gtid.Parse(info)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("binlog %s begins without a list of GTIDs", file)
	}
	return set, err
}

func listBinlogs(ctx context.Context, conn *sql.Conn) ([]binlogFile, error) {
	rows, err := conn.QueryContext(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return nil, err
	}
	var files []binlogFile
	err = eachRow(rows, func() error {
		var one binlogFile
		var encrypted string
		err := rows.Scan(&one.name, &one.size, &encrypted)
		files = append(files, one)
		return err
	})
	return files, err
}

func (s *Server) endReaders(ctx context.Context, account string) (int, error) {
	found := 0
	err := s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		readers := choose(all, func(one session) bool {
			isReader := one.isDump() && (one.user != account || one.dumpThread().IsArchiver())
			return isReader || one.host == ReaderHost
		})
		found = len(readers)
		_, err = killSessions(ctx, conn, readers)
		return err
	})
	return found, wrap("end readers of the binary logs", err)
}

func (s *Server) endRemovedReaders(ctx context.Context) (int, error) {
	ended := 0
	err := s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT t.PROCESSLIST_ID FROM performance_schema.threads t
			LEFT JOIN mysql.user u ON u.User = t.PROCESSLIST_USER AND u.Host = ? AND u.account_locked = 'N'
			WHERE t.PROCESSLIST_HOST = ? AND t.PROCESSLIST_USER <> ? AND u.User IS NULL
			AND NOT EXISTS (SELECT * FROM mysql.user w WHERE w.User = t.PROCESSLIST_USER AND w.Host <> ? AND w.account_locked = 'N')`,
			ReaderHost, ReaderHost, loggingIn, ReaderHost)
		if err != nil {
			return err
		}
		var removed []session
		err = eachRow(rows, func() error {
			var one session
			err := rows.Scan(&one.id)
			removed = append(removed, one)
			return err
		})
		if err != nil {
			return err
		}
		ended, err = killSessions(ctx, conn, removed)
		return err
	})
	return ended, wrap("end readers whose account was removed", err)
}
