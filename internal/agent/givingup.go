package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// giveUp notes what the former data had and the primary lacks, by the binary logs that were saved of it, and publishes
// that with the copy. It fails nothing: the logs are saved, and what cannot be told now can be read from them later.
// It blocks until the primary has said what it has, or was asked often enough, and the logs that matter are read.
func (d *discards) giveUp(ctx context.Context, former, copy pair.DataID) {
	dir := d.vol.SavedLogsDir(former)
	if _, err := os.Stat(dir); err != nil {
		return // nothing was saved: the data had no binary logs
	}
	found := d.lacking(ctx, filepath.Base(dir))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil {
		d.log.Error(err, "cannot read what was given up before")
	}
	d.copies = slices.DeleteFunc(d.copies, func(one agentapi.Discarded) bool { return one.Former == former })
	if found != nil {
		found.DataID = copy
		found.Former = former
		found.Directory = dir
		found.Files = logNames(dir)
		d.copies = append(d.copies, *found)
		d.log.Info("given up for a copy", "former", former, "dataID", copy, "gtids", found.GTIDs, "transactions", found.Transactions,
			"notSaved", found.NotSaved, "saved", dir, "problem", found.Problem)
		if err := d.vol.NoteGivenUp(*found); err != nil {
			d.log.Error(err, "what was given up is known until the agent ends")
		}
	}
	d.publish()
}

// lacking are the transactions of an entry of the quarantine that the primary lacks; nil for none.
func (d *discards) lacking(ctx context.Context, entry string) *agentapi.Discarded {
	kept, err := d.primaryHas(ctx)
	if err != nil {
		return &agentapi.Discarded{Problem: "what was given up is not known: " + err.Error()}
	}
	return quarantine.Of(d.vol, volume.Retention{}).GivenUp(entry, kept)
}

// primaryHas asks the primary what it has. What it said before does not count: it may have been the passive
// then, and transactions that it has received since would be called given up.
func (d *discards) primaryHas(ctx context.Context) (gtid.Set, error) {
	const (
		tries = 5
		limit = 3 * time.Second
		pause = time.Second
	)
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return gtid.Set{}, ctx.Err()
			case <-time.After(pause):
			}
		}
		primary, err := d.peer.ask(ctx, limit, true)
		if err != nil {
			last = err
			continue
		}
		kept, err := inBinlogOrExecuted(primary)
		if err == nil {
			return kept, nil
		}
		last = err
	}
	return gtid.Set{}, fmt.Errorf("the primary does not say what it has: %w", last)
}

// inBinlogOrExecuted are the transactions that a member says it has.
func inBinlogOrExecuted(s *agentapi.State) (gtid.Set, error) {
	if s.Server == nil {
		return gtid.Set{}, errors.New("its mysqld does not answer")
	}
	binlog, err := gtid.Parse(s.Server.BinlogGTIDs)
	if err != nil {
		return gtid.Set{}, err
	}
	executed, err := gtid.Parse(s.Server.GTIDExecuted)
	return binlog.Union(executed), err
}

// logNames are the names of the binary logs in a directory.
func logNames(dir string) []string {
	paths, _ := filepath.Glob(filepath.Join(dir, "binlog.[0-9]*")) // the pattern is well formed
	names := make([]string, 0, len(paths))
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// remember publishes what the notes on the volume say, once.
func (d *discards) remember() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Error(err, "cannot read what was given up before")
	}
}
