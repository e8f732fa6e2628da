package quarantine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// Executed reads what the binary logs of the data on the volume hold, while mysqld is down. It
// touches nothing.
func (q Quarantine) Executed() (agentapi.BinlogContents, error) {
	set, err := rewind.Contents(q.vol.BinlogDir())
	if err != nil {
		return agentapi.BinlogContents{}, err
	}
	return agentapi.BinlogContents{GTIDs: set.String()}, nil
}

// Changes counts what these transactions changed, by the binary logs of the data on the volume. It
// touches nothing and works whether mysqld runs or not, as long as the transactions were in the
// logs before. It reads only the files that can hold some of them, and blocks until they are read.
func (q Quarantine) Changes(wanted gtid.Set) (agentapi.BinlogChanges, error) {
	var found agentapi.BinlogChanges
	if wanted.IsEmpty() {
		return found, errors.New("changes: --gtids names no transactions")
	}
	has, totals, problems, err := readChanges(q.vol.BinlogDir(), wanted, func(one agentapi.QuarantineTransaction) {
		addChange(&found, one)
	})
	if err != nil {
		return found, err
	}
	found.GTIDs = has.String()
	found.NotFound = wanted.Subtract(has).String()
	found.Tables = totals.sorted()
	if found.NotFound != "" {
		// The end of the file that mysqld is writing is no problem while all was found before it.
		found.Problem = problems
	}
	return found, nil
}

// readChanges reads the wanted transactions in the binary logs of a directory. It returns which of them it found, the
// rows that they changed by table, and what could not be read, in one line.
func readChanges(
	dir string, wanted gtid.Set, take func(agentapi.QuarantineTransaction),
) (has gtid.Set, totals counts, problem string, err error) {
	var problems []string
	r := &reading{
		wanted: Wanted{GTIDs: wanted, Transactions: math.MaxInt64},
		totals: counts{},
		emit: func(record agentapi.QuarantineRecord) error {
			if record.Transaction != nil {
				take(*record.Transaction)
			}
			if record.Problem != nil {
				problems = append(problems, record.Problem.File+": "+record.Problem.Message)
			}
			return nil
		},
	}
	logs, unread, err := logsWith(dir, wanted)
	if err != nil {
		return has, nil, "", err
	}
	for _, path := range logs {
		if err := r.readLog(path); err != nil {
			return has, nil, "", err
		}
	}
	if err := r.flush(); err != nil {
		return has, nil, "", err
	}
	problems = append(unread, problems...)
	slices.Sort(problems)
	return r.has.all(), r.totals, strings.Join(slices.Compact(problems), "; "), nil
}

func addChange(found *agentapi.BinlogChanges, one agentapi.QuarantineTransaction) {
	found.Transactions++
	if found.First.IsZero() || one.At.Before(found.First) {
		found.First = one.At
	}
	if one.At.After(found.Last) {
		found.Last = one.At
	}
	if len(one.Statements) > 0 {
		found.WithStatements++
	}
	if one.Unread != "" || one.Incomplete {
		found.Unread++
	}
}

// readLog reads one file. mysqld may have purged it meanwhile.
func (r *reading) readLog(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read binary logs: %w", err)
	}
	defer f.Close()
	return r.readFile(filepath.Base(path), f)
}

// logsWith are the binary logs of a data directory that can hold some of the transactions, in
// their order: what a file holds is what the next one says that those before it have, without what
// the file itself says. A file of which that cannot be told is read, and the reason returned.
func logsWith(dataDir string, wanted gtid.Set) (paths, unread []string, err error) {
	all, err := logsIn(dataDir)
	if err != nil {
		return nil, nil, err
	}
	before := make([]gtid.Set, len(all))
	known := make([]bool, len(all))
	for i, path := range all {
		set, err := previousOf(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			unread = append(unread, filepath.Base(path)+": "+err.Error())
		default:
			before[i] = set
			known[i] = true
		}
	}
	for i, path := range all {
		bounded := i < len(all)-1 && known[i] && known[i+1]
		if bounded && before[i+1].Subtract(before[i]).Intersect(wanted).IsEmpty() {
			continue
		}
		paths = append(paths, path)
	}
	return paths, unread, nil
}

// logsIn are the binary logs of a directory in their order; an error when there are none.
func logsIn(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "binlog.*"))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(path string) bool { return !isLog.MatchString(filepath.Base(path)) })
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no binary logs", dir)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return all, nil
}

// previousOf is what a binary log says that those before it have.
func previousOf(path string) (set gtid.Set, err error) {
	f, err := os.Open(path)
	if err != nil {
		return gtid.Set{}, err
	}
	defer f.Close()
	source, err := openEvents(f)
	if err != nil {
		return gtid.Set{}, err
	}
	for {
		h, err := source.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return gtid.Set{}, err
		}
		isHead := h.kind == replication.FORMAT_DESCRIPTION_EVENT || h.kind == replication.PREVIOUS_GTIDS_EVENT
		if err != nil || !isHead {
			return gtid.Set{}, fmt.Errorf("%w: it does not say what the logs before it have", errDamaged)
		}
		raw, err := source.whole(h)
		if err != nil {
			return gtid.Set{}, err
		}
		if h.kind == replication.PREVIOUS_GTIDS_EVENT {
			return rewind.PreviousGTIDs(raw, source.checksum)
		}
		if _, err := source.decode(raw); err != nil {
			return gtid.Set{}, err
		}
	}
}
