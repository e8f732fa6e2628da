package agent

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// repairRights are what the repair account may write on this open primary: the rows of
// one table, for a while. What is left of them, by a Job that died or from before a
// change of roles, the primary's agent takes back.
type repairRights struct {
	gate   gate
	log    logr.Logger
	ops    rightsServer
	state  *board
	permit *permit
	vol    *volume.Volume

	mu            sync.Mutex // held while rights change
	operation     string
	schema, table string
	until         authority.Instant
}

// rightsServer is what the rights need of mysqld.
type rightsServer interface {
	Status(ctx context.Context) (mysqlops.Status, error)
	GrantRepair(ctx context.Context, schema, table string) error
	RevokeRepair(ctx context.Context, keepSchema, keepTable string) (bool, error)
}

// maxRepairRights is the longest time rights are given for; they are renewed while the
// repair goes on.
const maxRepairRights = 5 * time.Minute

// order gives, renews or takes back the right to write one table.
func (r *repairRights) order(ctx context.Context, c agentapi.RepairRightsCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: r.state.view().Known}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Operation == "" {
		return done, refuse(agentapi.ErrorRefused, "operation is empty: name the one that repairs")
	}
	if c.For <= 0 {
		if r.operation == c.Operation {
			r.operation = ""
		}
		r.tend(ctx)
		return done, nil
	}
	if err := r.gate.head(c.Command); err != nil {
		return done, err
	}
	switch {
	case c.Epoch != done.Epoch || r.state.view().Serving != authority.Serves:
		return done, refuse(agentapi.ErrorRefused, "this member is not open at epoch %d", c.Epoch)
	case c.For > maxRepairRights:
		return done, refuse(agentapi.ErrorRefused, "%s is too long: ask for at most %s and renew it", c.For, maxRepairRights)
	case r.alive() && r.operation != c.Operation:
		return done, refuse(agentapi.ErrorRefused, "operation %s repairs now", r.operation)
	}
	if err := r.permit.useFor(c.Operation, c.Schema, c.Table, c.Epoch); err != nil {
		return done, err
	}
	if err := r.grant(ctx, c); err != nil {
		return done, err
	}
	r.operation = c.Operation
	r.schema = c.Schema
	r.table = c.Table
	r.until = process.Now().Add(c.For)
	return done, nil
}

// grant lets the repair write the table, if it may not yet. r.mu is held.
func (r *repairRights) grant(ctx context.Context, c agentapi.RepairRightsCommand) error {
	if r.alive() && r.schema == c.Schema && r.table == c.Table {
		return nil
	}
	if !wouldNotHang(ctx, r.ops) {
		return refuse(agentapi.ErrorRefused, "commits wait for the passive: an account is not changed now, try again")
	}
	if err := r.ops.GrantRepair(ctx, c.Schema, c.Table); err != nil {
		return refuse(agentapi.ErrorRefused, "%v", err)
	}
	r.log.Info("a repair may write a table", "operation", c.Operation, "schema", c.Schema, "table", c.Table)
	return nil
}

func (r *repairRights) alive() bool { return r.operation != "" && process.Now() < r.until }

// look takes back what nobody is entitled to any more.
func (r *repairRights) look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tend(ctx)
}

// tend is called with mu held.
func (r *repairRights) tend(ctx context.Context) {
	if r.state.view().Serving != authority.Serves {
		r.operation = ""
		return
	}
	schema := ""
	table := ""
	if r.alive() {
		schema = r.schema
		table = r.table
	}
	if !wouldNotHang(ctx, r.ops) {
		return
	}
	had, err := r.ops.RevokeRepair(ctx, schema, table)
	if err != nil {
		r.log.Error(err, "cannot take a repair's rights back")
	} else if had {
		r.log.Info("rights of a repair taken back", "operation", r.operation)
	}
}

// saveRows keeps rows that a repair is about to write over.
func (r *repairRights) saveRows(_ context.Context, c agentapi.SaveRowsCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: r.state.view().Known}
	if err := r.gate.head(c.Command); err != nil {
		return done, err
	}
	if err := r.permit.use(c.Operation, c.Epoch); err != nil {
		return done, err
	}
	var size int64
	for _, line := range c.Lines {
		if strings.ContainsAny(line, "\r\n") {
			return done, refuse(agentapi.ErrorRefused, "a line holds a line break")
		}
		size += int64(len(line)) + 1
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(r.vol.BinlogRoot(), &fs); err != nil {
		return done, err
	}
	if free := int64(fs.Bavail) * fs.Bsize; free-size < 2*fullBelow {
		return done, refuse(agentapi.ErrorRefused,
			"the volume has no room to keep the rows that are written over: %d bytes are free; raise %s", free, sizeOfBinlogs(r.vol))
	}
	if err := r.vol.SaveLines(c.Operation, c.Lines); err != nil {
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	r.log.Info("rows saved before a repair", "operation", c.Operation, "rows", len(c.Lines), "bytes", size)
	return done, nil
}
