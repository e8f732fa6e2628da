package checksum

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// Bounds of a report, so that it fits into one object of the API server.
const (
	maxDrift     = 200
	maxPerState  = 200
	maxKeptBytes = 96 << 10
	saveEvery    = time.Second
)

// book keeps the report and the state of a run.
type book struct {
	save  func(State)
	now   func() time.Time
	limit int

	mu        sync.Mutex
	state     State
	done      map[TableName]bool
	resume    map[TableName]Position
	keptRows  int
	keptBytes int
	saved     time.Time
	saving    sync.Mutex
}

func newBook(o Options) *book {
	b := &book{
		save:  o.Save,
		now:   o.Now,
		limit: o.MaxRowsKept,
	}
	if o.Resume != nil {
		b.state = *o.Resume
		b.state.Report.Tables = slices.Clone(o.Resume.Report.Tables)
	}
	return b
}

// begin takes up the resumed state if it is about the same servers in the same
// roles, and starts again otherwise.
func (b *book) begin(uuids pairOf[string]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	report := &b.state.Report
	b.done, b.resume = make(map[TableName]bool), make(map[TableName]Position)
	if report.PrimaryUUID != uuids.primary || report.PassiveUUID != uuids.passive {
		b.state = State{Report: Report{
			Started:     b.now(),
			PrimaryUUID: uuids.primary,
			PassiveUUID: uuids.passive,
		}}
		return nil
	}
	report.Resumed++
	report.Finished = time.Time{}
	report.Folded = Totals{} // what is not listed is compared again; it is what is small
	for _, table := range report.Tables {
		b.done[table.Table] = true
		b.count(table.Differing, 1)
	}
	for _, position := range b.state.Current {
		b.resume[position.Partial.Table] = position
		b.count(position.Partial.Differing, 1)
	}
	// Current stays until its tables are taken up: a run that ends before loses nothing.
	return nil
}

func (b *book) hasDrift() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.SchemasCompared
}

func (b *book) setDrift(drift []SchemaDrift) {
	b.mu.Lock()
	b.state.SchemasCompared = true
	b.state.Report.SchemaDriftCount = len(drift)
	b.state.Report.SchemaDrift = drift[:min(len(drift), maxDrift)]
	b.mu.Unlock()
	b.saveNow(true)
}

// plan states how much there is to do.
func (b *book) plan(tables []tablesql.Size) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.TablesTotal = len(tables)
	b.state.RowsTotal = 0
	b.state.BytesTotal = 0
	for _, one := range tables {
		b.state.RowsTotal += one.Rows
		b.state.BytesTotal += one.Bytes
	}
	b.state.Current = slices.DeleteFunc(slices.Clone(b.state.Current), func(p Position) bool {
		gone := !slices.ContainsFunc(tables, func(s tablesql.Size) bool { return s.TableName == p.Partial.Table })
		if gone {
			b.count(p.Partial.Differing, -1)
			delete(b.resume, p.Partial.Table)
		}
		return gone
	})
}

func (b *book) isDone(name TableName) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done[name]
}

// takeUp returns where an earlier run left the table.
func (b *book) takeUp(name TableName) (Position, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	position, found := b.resume[name]
	delete(b.resume, name)
	return position, found
}

// keep chooses those of rows that the report has room for.
func (b *book) keep(rows []Row) []Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	var kept []Row
	for _, row := range rows {
		if b.keptRows >= b.limit || b.keptBytes >= maxKeptBytes {
			break
		}
		b.count([]Row{row}, 1)
		kept = append(kept, row)
	}
	return kept
}

// hasRoom reports whether keep would keep another row.
func (b *book) hasRoom() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keptRows < b.limit && b.keptBytes < maxKeptBytes
}

// drop gives back the room of rows that were kept.
func (b *book) drop(rows []Row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(rows, -1)
}

func (b *book) count(rows []Row, sign int) {
	for _, row := range rows {
		text, _ := json.Marshal(row) // strings and maps of strings only
		b.keptRows += sign
		b.keptBytes += sign * len(text)
	}
}

// progress notes how far a table has come.
func (b *book) progress(position Position) {
	b.mu.Lock()
	b.setCurrent(position.Partial.Table, &position)
	b.mu.Unlock()
	b.saveNow(false)
}

func (b *book) setCurrent(name TableName, position *Position) {
	current := slices.DeleteFunc(slices.Clone(b.state.Current), func(p Position) bool { return p.Partial.Table == name })
	if position != nil {
		current = append(current, *position)
	}
	b.state.Current = current
}

// finishTable notes a verdict.
func (b *book) finishTable(table TableReport) {
	b.mu.Lock()
	b.setCurrent(table.Table, nil)
	report := &b.state.Report
	report.RowsNotKept += table.DifferingRows() - int64(len(table.Differing))
	same := 0
	for _, one := range report.Tables {
		if one.State == table.State {
			same++
		}
	}
	if same >= maxPerState {
		b.count(table.Differing, -1)
		report.RowsNotKept += int64(len(table.Differing))
		report.Folded.add(table)
	} else {
		report.Tables = append(slices.Clip(report.Tables), table)
		b.done[table.Table] = true
	}
	b.mu.Unlock()
	b.saveNow(true)
}

// waiting notes what the run gives way to.
func (b *book) waiting(what string) {
	b.mu.Lock()
	changed := b.state.Waiting != what
	b.state.Waiting = what
	b.mu.Unlock()
	if changed {
		b.saveNow(true)
	}
}

// saveNow hands the state out, one caller at a time, each state at most once.
func (b *book) saveNow(always bool) {
	if b.save == nil {
		return
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	now := b.now()
	if !always && now.Sub(b.saved) < saveEvery {
		b.mu.Unlock()
		return
	}
	b.saved = now
	state := b.state
	state.Report.Tables = slices.Clip(state.Report.Tables)
	b.mu.Unlock()
	b.save(state)
}

// finish returns the report. Tables that were not compared to their end are
// not in it.
func (b *book) finish(complete bool, throttled, shut time.Duration) Report {
	b.mu.Lock()
	report := &b.state.Report
	report.Throttled += throttled
	report.Shut += shut
	if complete {
		report.Finished = b.now()
	}
	out := *report
	out.Tables = slices.Clone(out.Tables)
	b.mu.Unlock()
	b.saveNow(true)
	return out
}
