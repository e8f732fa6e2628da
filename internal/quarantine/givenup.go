package quarantine

import (
	"fmt"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

// GivenUp reads what the binary logs of an entry have and kept lacks: the transactions that are given up with the
// data whose logs these are. All of them are counted, and the first ones listed. It returns nil when there are none.
// What could not be read is the Problem of what it returns. It touches nothing, reads only the files that can hold some
// of the transactions, and blocks until they are read.
func (q Quarantine) GivenUp(name string, kept gtid.Set) *agentapi.Discarded {
	all, err := q.contents(name)
	if err != nil && all.IsEmpty() {
		return &agentapi.Discarded{Problem: fmt.Sprintf("what was given up is not known: %v", err)}
	}
	wanted := all.Subtract(kept)
	if wanted.IsEmpty() && err == nil {
		return nil
	}
	found := &agentapi.Discarded{
		GTIDs:        wanted.String(),
		Transactions: wanted.Count(),
	}
	if err != nil {
		found.Problem = fmt.Sprintf("more may have been given up: %v", err)
	}
	if wanted.IsEmpty() {
		return found
	}
	has, _, problem, err := readChanges(filepath.Join(q.vol.QuarantineDir(), name), wanted, func(one agentapi.QuarantineTransaction) {
		if len(found.List) < agentapi.MostGivenUp {
			one.Tables = one.Tables[:min(len(one.Tables), agentapi.MostGivenUpTables)]
			found.List = append(found.List, one)
		}
	})
	if err != nil {
		problem = err.Error()
	}
	if found.NotSaved = wanted.Subtract(has).String(); found.NotSaved != "" && found.Problem == "" {
		found.Problem = problem
	}
	return found
}

// contents are the GTIDs of the logs of an entry, those of purged logs included: what the last log says that those
// before it have, and what it has itself. With an error it returns what it has found.
func (q Quarantine) contents(name string) (gtid.Set, error) {
	logs, err := logsIn(filepath.Join(q.vol.QuarantineDir(), name))
	if err != nil {
		return gtid.Set{}, err
	}
	entry := agentapi.QuarantineEntry{Name: name}
	last := filepath.Base(logs[len(logs)-1])
	before, err := q.before(entry, last)
	if err != nil {
		return gtid.Set{}, err
	}
	in, err := q.gtidsOf(entry, last)
	return before.Union(in), err
}
