package agent

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// jobGuard keeps the Jobs that compare and repair from harming the member: it ends the
// sessions that lock a table too long, also when the Job's process is stopped dead, and
// those that are there while the roles change. It asks mysqld only while there are such
// sessions.
type jobGuard struct {
	log    logr.Logger
	ops    jobServer
	mysqld *instance
	state  *board
	roles  interface{ settled() bool }
	config func() agentapi.Config
	ended  func() // counts the sessions that held a lock too long

	// The rest is of run alone.
	// held are the locks of the last look, with the instant at which each was first seen.
	held     map[mysqlops.JobLock]authority.Instant
	watching bool // mysqld keeps the records of locks
	// rows are the row locks at the last look, which is made less often.
	rows   []mysqlops.JobLock
	rowsAt authority.Instant
}

// jobServer is what the guard needs of mysqld.
type jobServer interface {
	WatchJobLocks(ctx context.Context) error
	JobTableLocks(ctx context.Context) ([]mysqlops.JobLock, error)
	JobRowLocks(ctx context.Context) ([]mysqlops.JobLock, error)
	EndJobSession(ctx context.Context, id int64) error
	EndJobSessions(ctx context.Context) (int, error)
}

// run looks until ctx ends.
func (g *jobGuard) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(g.look(ctx))
	}
}

const (
	// jobIdle is the time between two looks at what is known anyway.
	jobIdle = 100 * time.Millisecond
	// rowLocksEvery is above the age at which mysqld lists transactions again.
	rowLocksEvery = 150 * time.Millisecond
)

// look returns the time until the next one.
func (g *jobGuard) look(ctx context.Context) time.Duration {
	if !g.mysqld.isUp() || g.state.jobSessions() == 0 {
		g.held = nil
		g.rows = nil
		g.watching = false
		return jobIdle
	}
	if !g.roles.settled() {
		g.endAll(ctx, "the roles change")
		return jobIdle
	}
	limit := g.config().MaxLockTime
	if limit <= 0 {
		limit = agentapi.DefaultMaxLockTime
	}
	if !g.watching {
		if err := g.ops.WatchJobLocks(ctx); err != nil {
			g.log.V(1).Info("cannot watch the locks of jobs", "reason", err.Error())
			return jobIdle
		}
		g.watching = true
	}
	asked := process.Now()
	locks, err := g.ops.JobTableLocks(ctx)
	if err == nil && asked.Sub(g.rowsAt) >= rowLocksEvery {
		g.rows, err = g.ops.JobRowLocks(ctx)
		g.rowsAt = asked
	}
	if err != nil {
		g.log.V(1).Info("cannot list the locks of jobs", "reason", err.Error())
		return jobIdle
	}
	held := make(map[mysqlops.JobLock]authority.Instant, len(locks)+len(g.rows))
	for _, lock := range slices.Concat(locks, g.rows) {
		since, known := g.held[lock]
		if !known {
			since = asked
		}
		held[lock] = since
		if asked.Sub(since) >= allowed(lock, limit) {
			g.end(ctx, lock, asked.Sub(since))
		}
	}
	g.held = held
	return min(max(limit/8, 10*time.Millisecond), jobIdle)
}

// allowed is how long a lock may be held. What a repair has written waits for the peer,
// which may take its time; a table it must not lock longer than a comparison.
func allowed(lock mysqlops.JobLock, limit time.Duration) time.Duration {
	if lock.User == mysqlops.UserRepair && lock.Transaction != "" {
		return max(limit, repairTransactionLimit)
	}
	return limit
}

// repairTransactionLimit bounds one transaction of a repair, of a few hundred rows.
const repairTransactionLimit = 15 * time.Second

func (g *jobGuard) end(ctx context.Context, lock mysqlops.JobLock, age time.Duration) {
	g.ended()
	g.log.Info("ending a job's session: it holds a lock too long", "user", lock.User, "session", lock.SessionID,
		"schema", lock.Schema, "table", lock.Table, "age", age)
	if err := g.ops.EndJobSession(ctx, lock.SessionID); err != nil {
		g.log.Error(err, "cannot end a job's session", "session", lock.SessionID)
	}
}

// endJobsLimit bounds how long a change of roles attends to the sessions of Jobs.
const endJobsLimit = time.Second

// endAll ends every session of a Job. It blocks for at most endJobsLimit.
func (g *jobGuard) endAll(ctx context.Context, why string) {
	if !g.mysqld.isUp() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endJobsLimit)
	defer cancel()
	ended, err := g.ops.EndJobSessions(ctx)
	if err != nil {
		g.log.V(1).Info("cannot end the sessions of jobs", "reason", err.Error())
	} else if ended > 0 {
		g.log.Info("sessions of jobs ended", "sessions", ended, "reason", why)
	}
}

// jobSessions counts the sessions of Jobs at the last look at mysqld.
func (b *board) jobSessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status == nil {
		return 0
	}
	return b.status.Sessions.Jobs
}

// settled reports whether the member has one role for good: it leads or it follows.
func (r *replication) settled() bool {
	o := r.ordered()
	return o == orderLead || o == orderFollow
}

func (r *replication) ordered() order {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standing
}
