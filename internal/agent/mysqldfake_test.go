package agent

import (
	"context"
	"slices"
	"sync"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// recorder is what a part asks of mysqld: it writes every change down and answers as it is
// told to.
type recorder struct {
	mu      sync.Mutex
	status  mysqlops.Status
	failure error // of every change
	drained mysqlops.Drained
	drift   []mysqlops.Difference
	tables  []mysqlops.JobLock
	rows    []mysqlops.JobLock
	changes []string
}

func (r *recorder) change(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, what)
	return r.failure
}

// done are the changes since the last call.
func (r *recorder) done() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.changes
	r.changes = nil
	return all
}

func (r *recorder) has(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.changes, what)
}

func (r *recorder) Status(context.Context) (mysqlops.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status, nil
}

func (r *recorder) CloseIdleSessions(context.Context) (mysqlops.Drained, error) {
	return r.drained, r.change("close idle sessions")
}

func (r *recorder) StartWaiting(context.Context) error { return r.change("start waiting") }

func (r *recorder) StopWaiting(context.Context, uint64) error { return r.change("stop waiting") }

func (r *recorder) StartApplier(context.Context) error { return r.change("start applier") }

func (r *recorder) SetIdempotent(_ context.Context, on bool) error {
	if on {
		return r.change("idempotent")
	}
	return r.change("strict")
}

func (r *recorder) VerifyOwned(context.Context, []mycnf.Expectation) ([]mysqlops.Difference, error) {
	return r.drift, nil
}

func (r *recorder) GrantRepair(_ context.Context, schema, table string) error {
	return r.change("grant " + schema + "." + table)
}

func (r *recorder) RevokeRepair(_ context.Context, keepSchema, keepTable string) (bool, error) {
	return true, r.change("revoke all but " + keepSchema + "." + keepTable)
}

func (r *recorder) WatchJobLocks(context.Context) error { return r.change("watch locks") }

func (r *recorder) JobTableLocks(context.Context) ([]mysqlops.JobLock, error) { return r.tables, nil }

func (r *recorder) JobRowLocks(context.Context) ([]mysqlops.JobLock, error) { return r.rows, nil }

func (r *recorder) EndJobSession(_ context.Context, id int64) error {
	return r.change("end session " + itoa(id))
}

func (r *recorder) EndJobSessions(context.Context) (int, error) {
	return 1, r.change("end all sessions")
}

// oneTurn is replication with one standing order.
type oneTurn struct {
	sync.Mutex
	standing order
}

func (o *oneTurn) take(context.Context) error {
	o.Lock()
	return nil
}

func (o *oneTurn) giveBack() { o.Unlock() }

func (o *oneTurn) ordered() order { return o.standing }

func (o *oneTurn) settled() bool { return o.standing == orderFollow || o.standing == orderLead }

// running is a mysqld that is up.
func running(incarnation pair.Incarnation) *instance {
	return &instance{child: child{up: true, incarnation: incarnation}}
}
