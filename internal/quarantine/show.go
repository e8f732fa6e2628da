package quarantine

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// Show reads the transactions of an entry and passes them to emit one by one, in the order of
// the files, with what could not be read between them and a summary at the end. It blocks until
// all files are read. The error says that there is no such entry, or comes from emit.
func (q Quarantine) Show(name string, wanted Wanted, emit func(agentapi.QuarantineRecord) error) error {
	one, err := q.find(name)
	if err != nil {
		return err
	}
	entry, err := q.describe(one)
	if err != nil {
		return err
	}
	r := &reading{
		wanted: wanted,
		emit:   emit,
		totals: counts{},
	}
	read := r.readFile
	if entry.Kind == agentapi.QuarantineRepair {
		read = r.readRepairs
	}
	for _, file := range logsOf(entry) {
		if err := q.showFile(entry, file, r, read); err != nil {
			return err
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	if set := r.has.all(); !set.IsEmpty() {
		r.summary.GTIDs = set.String()
	}
	r.summary.Tables = r.totals.sorted()
	return emit(agentapi.QuarantineRecord{Summary: &r.summary})
}

func (q Quarantine) showFile(entry agentapi.QuarantineEntry, file string, r *reading, read func(string, io.Reader) error) error {
	f, err := q.open(entry, file)
	if err != nil {
		r.file = file
		return r.problem(0, err)
	}
	defer f.Close()
	return read(file, f)
}

// logsOf are the files of an entry that hold changes, in the order in which they were written.
func logsOf(entry agentapi.QuarantineEntry) []string {
	var logs []string
	for _, file := range entry.Files {
		isOnly := len(entry.Files) == 1 || file.Name == path.Base(entry.Name)
		switch entry.Kind {
		case agentapi.QuarantineTail, agentapi.QuarantineRepair, agentapi.QuarantineOther:
			if isOnly {
				logs = append(logs, file.Name)
			}
		case agentapi.QuarantineData, agentapi.QuarantineRelayLog, agentapi.QuarantineUnfinished:
			if isLog.MatchString(path.Base(file.Name)) || isTail.MatchString(strings.TrimSuffix(file.Name, ".new")) {
				logs = append(logs, file.Name)
			}
		}
	}
	// The number gets longer after 999999.
	slices.SortFunc(logs, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return logs
}

// addGTIDs finds out what the logs of an entry hold, where its note does not say it: what they say
// at their beginnings that those before them have, and what the last one has.
func (q Quarantine) addGTIDs(entry *agentapi.QuarantineEntry) {
	logs := logsOf(*entry)
	hasLogs := len(logs) > 0 && entry.Kind != agentapi.QuarantineRepair && entry.Kind != agentapi.QuarantineOther
	if entry.GTIDs != "" || !hasLogs {
		return
	}
	first, err := q.before(*entry, logs[0])
	if err == nil {
		var last gtid.Set
		if last, err = q.before(*entry, logs[len(logs)-1]); err == nil {
			var in gtid.Set
			in, err = q.gtidsOf(*entry, logs[len(logs)-1])
			entry.GTIDs = last.Subtract(first).Union(in).String()
		}
	}
	if err != nil {
		entry.Problem = err.Error()
	}
}

// before is what a log says that those before it have. Its error names the file.
func (q Quarantine) before(entry agentapi.QuarantineEntry, file string) (set gtid.Set, err error) {
	err = q.each(entry, file, func(source *events, h header) error {
		if h.kind != replication.FORMAT_DESCRIPTION_EVENT && h.kind != replication.PREVIOUS_GTIDS_EVENT {
			return io.EOF
		}
		raw, err := source.whole(h)
		if err != nil || h.kind == replication.FORMAT_DESCRIPTION_EVENT {
			return err
		}
		if set, err = rewind.PreviousGTIDs(raw, source.checksum); err != nil {
			return err
		}
		return io.EOF
	})
	return set, err
}

// gtidsOf reads the GTIDs in one log, also when it returns an error, which names the file.
func (q Quarantine) gtidsOf(entry agentapi.QuarantineEntry, file string) (gtid.Set, error) {
	var found collected
	err := q.each(entry, file, func(source *events, h header) error {
		isGTID := begins(h.kind) && h.kind != replication.ANONYMOUS_GTID_EVENT
		if !isGTID && h.kind != replication.FORMAT_DESCRIPTION_EVENT {
			return nil
		}
		raw, err := source.whole(h)
		if err != nil {
			return err
		}
		decoded, err := source.decode(raw)
		if err != nil || !isGTID {
			return err
		}
		id, err := rewind.GTIDOf(decoded)
		if err == nil {
			found.add(id)
		}
		return err
	})
	return found.all(), err
}

// each calls take for every event, until it returns io.EOF or another error. A body that it does
// not read is passed over.
func (q Quarantine) each(entry agentapi.QuarantineEntry, file string, take func(*events, header) error) error {
	f, err := q.open(entry, file)
	if err != nil {
		return err
	}
	defer f.Close()
	source, err := openEvents(f)
	for err == nil {
		var h header
		if h, err = source.next(); err != nil {
			break
		}
		isStructure := h.kind != replication.TRANSACTION_PAYLOAD_EVENT && h.length <= mostEvent
		if isStructure {
			err = take(source, h)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%s: %w", file, err)
}

// savedRow is what of a line that a repair saved is of use here.
type savedRow struct {
	Table struct {
		Schema string `json:"schema"`
		Name   string `json:"name"`
	} `json:"table"`
	Primary map[string]string `json:"primary"`
	Passive map[string]string `json:"passive"`
}

// readRepairs reads the rows that a repair wrote over, one JSON value a line. They are shown as
// one transaction without a GTID.
func (r *reading) readRepairs(name string, from io.Reader) error {
	r.file = name
	r.current = &transaction{
		QuarantineTransaction: agentapi.QuarantineTransaction{File: name},
		counts:                counts{},
	}
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 1<<16), mostEvent)
	offset := int64(0)
	for lines.Scan() {
		var row savedRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return r.problem(offset, fmt.Errorf("%w: a line is no saved row", errDamaged))
		}
		offset += int64(len(lines.Bytes())) + 1
		// What the repair did to the passive's rows.
		count := r.current.counts.of(tableName{schema: row.Table.Schema, table: row.Table.Name})
		switch {
		case row.Passive == nil:
			count.Inserted++
		case row.Primary == nil:
			count.Deleted++
		default:
			count.Updated++
		}
		if r.rows < r.wanted.Rows {
			r.rows++
			r.current.Rows = append(r.current.Rows, "-- "+clip(escape(lines.Text()), mostRow))
		} else if r.wanted.Rows > 0 {
			r.summary.RowsNotPrinted++
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return r.problem(offset, fmt.Errorf("a row of more than %d bytes, which only the extracted file shows", mostEvent))
	case err != nil:
		return r.problem(offset, err)
	}
	return nil
}
