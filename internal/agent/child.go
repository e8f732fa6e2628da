package agent

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// startMysqld starts mysqld closed, waits until it answers and reads it back. It reports
// MysqldUp, and MysqldExited when it could not be started or has ended.
func (a *Agent) startMysqld(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mysqld.mu.Lock()
	a.mysqld.child.stop = cancel
	a.mysqld.mu.Unlock()
	proc, incarnation, err := a.launch(ctx, a.vol.DataDir(), true)
	if err != nil {
		a.log.Error(err, "cannot start mysqld")
		a.queue.post(authority.MysqldExited{At: process.Now()})
		return
	}
	go a.awaitExit(proc)
	if !a.awaitUp(ctx, proc, a.ops) {
		return
	}
	a.options.readBack(ctx, a.ops)
	a.installComponents(ctx)
	if err := a.settle(ctx); err != nil {
		// Half settled is not up; the next start tries again.
		a.log.Error(err, "cannot make the copy forget its donor's channel")
		proc.Kill()
		return
	}
	a.mysqld.mu.Lock()
	a.mysqld.child.up = true
	a.mysqld.mu.Unlock()
	go a.killAtShutdown(proc)
	a.state.resolve(agentapi.ProblemMysqldExits)
	a.log.Info("mysqld is up and closed", "incarnation", incarnation)
	a.queue.post(authority.MysqldUp{At: process.Now(), Incarnation: incarnation})
	a.state.bump()
}

// launch renders and validates the option file and starts mysqld on a data directory, with
// more flags than the usual ones.
func (a *Agent) launch(ctx context.Context, dataDir string, deadman bool, more ...string) (*process.Mysqld, pair.Incarnation, error) {
	if err := a.image.check(ctx); err != nil {
		return nil, "", err
	}
	if err := a.image.checkData(dataDir); err != nil {
		return nil, "", err
	}
	if err := a.vol.EmptyTemp(); err != nil {
		a.state.problem(problemOfVolume(err), err.Error())
		return nil, "", err
	}
	complaints, err := a.options.write(ctx, dataDir)
	if errors.Is(err, errCut) {
		return nil, "", err
	}
	if err != nil {
		a.state.problem(agentapi.ProblemConfigInvalid, err.Error())
		return nil, "", err
	}
	a.state.resolve(agentapi.ProblemConfigInvalid)
	a.options.publish(complaints)
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	spec := process.Spec{
		Program: a.opt.Mysqld,
		Args:    append(mycnf.Flags(a.opt.optionFile()), more...),
		Output:  os.Stderr,
	}
	if deadman {
		spec.Self = a.self
	}
	a.failures.at(failBeforeStart)
	proc, err := process.Start(spec)
	if err != nil {
		a.state.problem(agentapi.ProblemMysqldExits, err.Error())
		return nil, "", err
	}
	incarnation := pair.Incarnation(random())
	a.mysqld.mu.Lock()
	a.mysqld.child.proc = proc
	a.mysqld.child.incarnation = incarnation
	a.mysqld.child.up = false
	a.mysqld.child.memoryKills = memoryKills()
	a.mysqld.child.terminated = false
	a.mysqld.child.outside = false
	a.mysqld.mu.Unlock()
	a.log.Info("mysqld started", "incarnation", incarnation, "pid", proc.PID())
	a.state.bump()
	if ctx.Err() != nil {
		proc.Kill() // killed between the check above and here
	}
	return proc, incarnation, nil
}

// awaitUp waits for an answer and until every owned variable is as it should be in a
// closed member. False: ctx ended or mysqld did.
func (a *Agent) awaitUp(ctx context.Context, proc *process.Mysqld, ops *mysqlops.Server) bool {
	expect := mycnf.Expect(a.options.own(), mycnf.State{})
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := ops.Ping(ctx)
		if err == nil {
			a.state.resolve(agentapi.ProblemWrongPassword)
			if err = a.readBack(ctx, ops, expect); err == nil {
				return true
			}
			a.log.Error(err, "mysqld is not as it should be; it stays closed")
			pause = time.Second
		} else if errors.Is(err, mysqlops.ErrAccessDenied) {
			a.settings.otherRoot()
			a.state.problem(agentapi.ProblemWrongPassword,
				"mysqld does not accept root's password of the pair's internal Secret; put the former password back")
			pause = time.Second
		}
		select {
		case <-ctx.Done():
			return false
		case <-proc.Exited():
			return false
		case <-time.After(pause):
		}
	}
}

func (a *Agent) readBack(ctx context.Context, ops *mysqlops.Server, expect []mycnf.Expectation) error {
	differences, err := ops.VerifyOwned(ctx, expect)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		err := &mysqlops.DriftError{Differences: differences}
		a.state.problem(agentapi.ProblemOwnedVariable, err.Error())
		return err
	}
	a.state.resolve(agentapi.ProblemOwnedVariable)
	return ops.Warm(ctx)
}

// awaitExit reports the end of mysqld.
func (a *Agent) awaitExit(proc *process.Mysqld) {
	<-proc.Exited()
	a.mysqld.mu.Lock()
	c := &a.mysqld.child
	c.proc = nil
	c.up = false
	c.deadline = 0
	c.exits++
	c.lastExit = proc.How()
	killedForMemory := memoryKills() > c.memoryKills
	opened := c.opened
	c.opened = interval{}
	stop := c.stop
	cancelOpen := c.openCancel
	orderly := c.terminated
	outside := c.outside
	a.mysqld.mu.Unlock()
	for _, cancel := range []context.CancelFunc{stop, cancelOpen} {
		if cancel != nil {
			cancel()
		}
	}
	now := process.Now()
	a.follow.order(orderNone, 0)
	a.state.forgetServer()
	a.queue.post(authority.MysqldExited{At: now})
	a.logClosed(opened, lastRun(proc, now), "process ended: "+proc.How())
	a.log.Info("mysqld ended", "how", proc.How())
	a.metrics.exits.Inc()
	switch {
	case outside:
		a.state.problem(agentapi.ProblemMysqldExits, "mysqld was ended by SIGTERM, SHUTDOWN or RESTART and not by its agent, which killed it, "+
			"since a mysqld that shuts down acknowledges commits that its peer does not have; "+
			"find out who did it, and use kubectl dbpair failover to move the primary")
	case !orderly:
		a.state.problem(agentapi.ProblemMysqldExits, exitMessage(proc.How(), killedForMemory, memoryLimit()))
	}
	a.state.bump()
}

// killAtShutdown kills a mysqld that begins to shut down without having been asked to by
// this agent: by SIGTERM from somewhere else, SHUTDOWN or RESTART. On its way down, which
// takes seconds, it refuses clients and answers OK to commits that wait for the peer and may
// exist nowhere else. It closes its listeners first, so the kill comes before that.
func (a *Agent) killAtShutdown(proc *process.Mysqld) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	go func() {
		select {
		case <-proc.Exited():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := process.AwaitDeaf(ctx, a.opt.socket())
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.log.Error(err, "cannot watch mysqld's listener: a shutdown that this agent did not order is noticed only when it has ended")
		return
	}
	a.mysqld.mu.Lock()
	asked := a.mysqld.child.proc != proc || a.mysqld.child.terminated
	a.mysqld.child.outside = a.mysqld.child.outside || !asked
	a.mysqld.mu.Unlock()
	if asked {
		return
	}
	a.log.Info("mysqld stopped listening and was not asked to end, killing it", "pid", proc.PID())
	proc.Kill()
}

// lastRun is until when a mysqld that ended at an instant can have answered a client.
func lastRun(proc *process.Mysqld, ended authority.Instant) authority.Instant {
	if killed := proc.KilledAt(); killed != 0 {
		return min(killed, ended)
	}
	return ended
}

// logClosed is the record that tests compare: no write can have been accepted after
// closedAt.
func (a *Agent) logClosed(o interval, at authority.Instant, how string) {
	if !a.mysqld.closed(o, at) {
		return
	}
	a.log.Info("member closed", "epoch", o.epoch, "openedAt", int64(o.openedAt), "closedAt", int64(at),
		"lastConfirmationAskedAt", int64(a.state.confirmedAt()), "how", how)
}

// installComponents has mysqld know the functions that an application expects of any MySQL.
// It is tried at each start, so that it also follows an upgrade. A member without them runs.
func (a *Agent) installComponents(ctx context.Context) {
	installed, err := a.ops.InstallComponents(ctx)
	if err != nil {
		a.log.Error(err, "cannot install a component: MD5() and SHA1() may be missing on this member")
		return
	}
	if len(installed) > 0 {
		a.log.Info("components installed", "components", installed)
	}
}

// memoryLimit is that of the container, in bytes; 0 for none.
func memoryLimit() int64 {
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	var info unix.Sysinfo_t
	if err != nil || (unix.Sysinfo(&info) == nil && uint64(bytes) > info.Totalram*uint64(info.Unit)) {
		return 0
	}
	return bytes
}
