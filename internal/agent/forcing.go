package agent

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// forcing is the lease under which this passive's applier forces rows through that are
// there already or missing (replica_exec_mode IDEMPOTENT), which a repair needs. It is
// short, and this agent ends it whatever becomes of who asked for it; mysqld starts
// strict. What was received under the lease is applied under it: a strict applier would
// stop there, and a failover with it.
type forcing struct {
	gate   gate
	log    logr.Logger
	ops    forcingServer
	mysqld *instance
	state  *board
	follow turns
	permit *permit

	// changing is held while the mode is set; mu guards the fields.
	changing    sync.Mutex
	mu          sync.Mutex
	operation   string // that has the lease; empty for nobody
	until       authority.Instant
	incarnation pair.Incarnation
	// last is what had been received when the lease ran out; nil while it runs.
	last *gtid.Set
}

// forcingServer is what the lease needs of mysqld.
type forcingServer interface {
	Status(ctx context.Context) (mysqlops.Status, error)
	SetIdempotent(ctx context.Context, on bool) error
	StartApplier(ctx context.Context) error
	VerifyOwned(ctx context.Context, want []mycnf.Expectation) ([]mysqlops.Difference, error)
}

// turns are those of replication, which one part has at a time, and its standing order.
type turns interface {
	turn
	ordered() order
}

const (
	// maxForcing is the longest lease; it is renewed while the repair goes on.
	maxForcing = 30 * time.Second
	// forcingGrace is how long after its end an applier that still has rows of the repair
	// before it may go on.
	forcingGrace = time.Minute
	// strictEvery is the time between two looks whether the mode is as it should be.
	strictEvery = 5 * time.Second
)

// order grants, renews or ends the lease. Only the settled passive of the
// epoch that the command names gives one.
func (f *forcing) order(ctx context.Context, c agentapi.RepairLeaseCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: f.state.view().Known}
	if c.Operation == "" {
		return done, refuse(agentapi.ErrorRefused, "operation is empty: name the one that repairs")
	}
	if c.For <= 0 {
		return done, f.end(ctx, "its holder ended it", c.Operation)
	}
	if err := f.gate.head(c.Command); err != nil {
		return done, err
	}
	switch {
	case c.Epoch != done.Epoch:
		return done, refuse(agentapi.ErrorRefused, "the epoch here is %d, the lease is asked for at %d", done.Epoch, c.Epoch)
	case c.For > maxForcing:
		return done, refuse(agentapi.ErrorRefused, "a lease of %s is too long: ask for at most %s and renew it", c.For, maxForcing)
	}
	if err := f.permit.use(c.Operation, c.Epoch); err != nil {
		return done, err
	}
	return done, f.grant(ctx, c.Operation, c.For)
}

func (f *forcing) grant(ctx context.Context, operation string, limit time.Duration) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	// The turn keeps the member from opening meanwhile.
	if err := f.follow.take(ctx); err != nil {
		return err
	}
	defer f.follow.giveBack()
	incarnation := f.mysqld.incarnation()
	if f.state.view().Serving != authority.Shut || f.follow.ordered() != orderFollow || incarnation == "" {
		return refuse(agentapi.ErrorRefused, "this member does not follow a primary now")
	}
	f.mu.Lock()
	before := f.operation
	f.mu.Unlock()
	if before != "" && before != operation {
		return refuse(agentapi.ErrorRefused, "operation %s has the lease", before)
	}
	f.mu.Lock()
	f.operation, f.until, f.incarnation, f.last = operation, process.Now().Add(limit), incarnation, nil
	f.mu.Unlock()
	// Noted first: should the answer be lost, the lease still ends.
	if err := f.ops.SetIdempotent(ctx, true); err != nil {
		return err
	}
	if before == "" {
		f.log.Info("the applier forces rows through", "operation", operation, "limit", limit)
	}
	f.state.bump()
	return f.goOn(ctx, operation)
}

// goOn starts an applier that stopped at a row that is missing or there already: mysqld
// starts strict, also in the middle of a repair. Nothing is skipped without the repair
// knowing: it compares its table, and all others that were written to, afterwards.
func (f *forcing) goOn(ctx context.Context, operation string) error {
	const noSuchRow, duplicateRow = 1032, 1062
	status, err := f.ops.Status(ctx)
	if err != nil {
		return err
	}
	failure := status.Channel.ApplierError
	if !status.Channel.Configured || status.Channel.ApplierRunning || (failure.Number != noSuchRow && failure.Number != duplicateRow) {
		return nil
	}
	f.log.Info("starting the applier, which had stopped at a row of a repair", "operation", operation,
		"errno", failure.Number, "error", plain(failure.Message))
	return f.ops.StartApplier(ctx)
}

// end makes the applier strict. With an operation it does so only if that one has the
// lease. It is idempotent.
func (f *forcing) end(ctx context.Context, why, operation string) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	holder := f.operation
	f.mu.Unlock()
	if holder == "" || (operation != "" && operation != holder) {
		return nil
	}
	if err := f.ops.SetIdempotent(ctx, false); err != nil {
		return err
	}
	f.mu.Lock()
	f.operation = ""
	f.last = nil
	f.mu.Unlock()
	f.log.Info("the applier is strict again", "operation", holder, "reason", why)
	f.state.bump()
	return nil
}

// holder is the operation that has the lease; empty for none.
func (f *forcing) holder() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.operation
}

// run ends leases that have run out, and sees every few seconds that no one else forces
// rows through.
func (f *forcing) run(ctx context.Context) {
	var looked authority.Instant
	every(ctx, 200*time.Millisecond, func() {
		if !f.mysqld.isUp() {
			return
		}
		if f.holder() != "" {
			f.tend(ctx)
		} else if now := process.Now(); now.Sub(looked) > strictEvery {
			looked = now
			f.keepStrict(ctx)
		}
	})
}

// tend ends the lease when it has run out and what was received by then is applied.
func (f *forcing) tend(ctx context.Context) {
	f.mu.Lock()
	until := f.until
	incarnation := f.incarnation
	last := f.last
	f.mu.Unlock()
	if incarnation != f.mysqld.incarnation() {
		f.conclude(ctx, "mysqld was restarted")
		return
	}
	now := process.Now()
	if now < until {
		return
	}
	status, err := f.ops.Status(ctx)
	if err != nil {
		f.log.V(1).Info("cannot see whether the repair is applied", "reason", err.Error())
		status = mysqlops.Status{}
	}
	fenced := f.follow.ordered() == orderFenced // nothing more is received
	switch {
	case err == nil && last == nil:
		f.mu.Lock()
		if f.until == until {
			f.last = &status.Received
		}
		f.mu.Unlock()
	case err == nil && status.Executed.Covers(*last):
		f.conclude(ctx, "it ran out")
	case now.Sub(until) > forcingGrace && !fenced:
		f.conclude(ctx, "it ran out, and the applier is too far behind to wait for")
	}
}

func (f *forcing) conclude(ctx context.Context, why string) {
	if err := f.end(ctx, why, ""); err != nil {
		f.log.Error(err, "cannot make the applier strict")
	}
}

// keepStrict corrects an applier that forces rows through without a lease.
func (f *forcing) keepStrict(ctx context.Context) {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.holder() != "" {
		return
	}
	differences, err := f.ops.VerifyOwned(ctx, []mycnf.Expectation{{Variable: "replica_exec_mode", Want: "STRICT"}})
	if err != nil || len(differences) == 0 {
		return
	}
	f.log.Info("the applier was made to force rows through by someone else, correcting it")
	if err := f.ops.SetIdempotent(ctx, false); err != nil {
		f.log.Error(err, "cannot make the applier strict")
	}
}
