package agent

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// permit is the operator's permission for one repair of one table. Every pod of the
// namespace that mounts the Secret of the Jobs' certificate can ask the agent for the
// right to write; what may be written is therefore not the Job's to say. The permission
// ends by itself, the Job's requests extend it within bounds, and it is not kept on the
// volume: the operator gives it again to an agent that was restarted.
type permit struct {
	gate  gate
	log   logr.Logger
	state *board

	mu        sync.Mutex
	operation string
	schema    string
	table     string
	epoch     pair.Epoch
	until     authority.Instant
	// latest is what the Job's requests extend it to at most.
	latest authority.Instant
}

const (
	// permitExtension is how long a request of the Job extends the permission.
	permitExtension = 5 * time.Minute
	// permitWithoutOperator is how long the Job may go on while the operator says nothing.
	permitWithoutOperator = time.Hour
)

// order gives, renews or ends the permission.
func (p *permit) order(_ context.Context, c agentapi.PermitRepairCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: p.state.view().Known}
	if err := p.gate.head(c.Command); err != nil {
		return done, err
	}
	switch {
	case c.Operation == "":
		return done, refuse(agentapi.ErrorRefused, "operation is empty: name the one that repairs")
	case c.For <= 0:
		p.end(c.Operation)
		return done, nil
	case c.Epoch != done.Epoch:
		return done, refuse(agentapi.ErrorRefused, "the epoch here is %d, the permission is for epoch %d", done.Epoch, c.Epoch)
	case c.Schema == "" || c.Table == "":
		return done, refuse(agentapi.ErrorRefused, "schema and table must name the table that is repaired")
	case c.For > agentapi.MaxPermitRepair:
		return done, refuse(agentapi.ErrorRefused, "%s is too long: permit at most %s and renew it", c.For, agentapi.MaxPermitRepair)
	}
	if p.give(c, process.Now()) {
		p.log.Info("a repair is permitted", "operation", c.Operation, "schema", c.Schema, "table", c.Table, "epoch", c.Epoch)
	}
	return done, nil
}

// give reports whether the permission is another one than before.
func (p *permit) give(c agentapi.PermitRepairCommand, now authority.Instant) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := now < p.until && p.operation == c.Operation && p.schema == c.Schema && p.table == c.Table && p.epoch == c.Epoch
	p.operation = c.Operation
	p.schema = c.Schema
	p.table = c.Table
	p.epoch = c.Epoch
	p.until = now.Add(c.For)
	p.latest = now.Add(permitWithoutOperator)
	return !same
}

func (p *permit) end(operation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.operation == operation {
		p.operation = ""
		p.until = 0
	}
}

// use refuses an operation that has no permission at this epoch, and extends that of one
// that has.
func (p *permit) use(operation string, epoch pair.Epoch) error {
	now := process.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if operation == "" {
		return refuse(agentapi.ErrorRefused, "operation is empty: name the one that repairs")
	}
	if now >= p.until || p.operation != operation || p.epoch != epoch {
		return refuse(agentapi.ErrorRefused, "the operator has not permitted operation %q to repair at epoch %d", operation, epoch)
	}
	p.until = max(p.until, min(now.Add(permitExtension), p.latest))
	return nil
}

// useFor is use for the one table that is permitted.
func (p *permit) useFor(operation, schema, table string, epoch pair.Epoch) error {
	if err := p.use(operation, epoch); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.schema != schema || p.table != table {
		return refuse(agentapi.ErrorRefused, "operation %q may repair table %s.%s, not %s.%s", operation, p.schema, p.table, schema, table)
	}
	return nil
}
