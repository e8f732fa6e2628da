package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// takeover makes data that came from outside of the pair, in the directory of new data, the
// pair's own.
type takeover struct {
	opt      Options
	make     *newData
	settings *settings
	vol      *volume.Volume
	connect  func(password func() mysqlops.Secret) *mysqlops.Server
	failures *failpoints
}

// run starts mysqld without a network, has it forget what it replicated from, and creates the
// pair's accounts again.
func (t *takeover) run(ctx context.Context) error {
	passwords := t.settings.all()
	return t.privately(ctx, passwords.Root, func(ops *mysqlops.Server) error { return t.renew(ctx, ops, passwords) })
}

// replay starts mysqld without a network and has it replicate from a source that stands for an
// archive, up to its end. The accounts are those of the data until run makes them again: what is
// replayed may need them, and change them. On success everything is on the disk.
func (t *takeover) replay(ctx context.Context, from mysqlops.Source, progress func(mysqlops.Replay)) error {
	return t.replaying(ctx, func(ops *mysqlops.Server) error { return ops.ReplayFrom(ctx, from, progress) })
}

// catchUp is replay with the primary for a source, until the data has what the primary had: target. The
// accounts are the primary's then.
func (t *takeover) catchUp(
	ctx context.Context, primary mysqlops.Source, target gtid.Set, progress func(mysqlops.Replay),
) error {
	return t.replaying(ctx, func(ops *mysqlops.Server) error { return ops.CatchUpWith(ctx, primary, target, progress) })
}

func (t *takeover) replaying(ctx context.Context, replay func(*mysqlops.Server) error) error {
	err := t.privately(ctx, t.settings.all().Root, func(ops *mysqlops.Server) error {
		if err := ops.ResetReplicaAll(ctx, true); err != nil {
			return err
		}
		t.failures.at(failInReplay)
		return replay(ops)
	}, mysqlops.ReplayFlags()...)
	if err != nil {
		return err
	}
	// mysqld did not flush its binary logs, but for the data.
	return t.vol.SyncNewBinlogs()
}

// privately does something with a mysqld on the data that nobody can reach by the passwords that
// came with it: it has no network, and root has the pair's password.
func (t *takeover) privately(ctx context.Context, root mysqlops.Secret, do func(*mysqlops.Server) error, more ...string) error {
	script, err := mysqlops.RootScript(root)
	if err != nil {
		return err
	}
	file := filepath.Join(t.opt.RunDir, "root.sql")
	if err := volume.WriteFile(file, []byte(script), 0o600); err != nil {
		return fmt.Errorf("write the script that creates root again: %w", err)
	}
	defer os.Remove(file)
	ops := t.connect(func() mysqlops.Secret { return root })
	defer ops.Disconnect()
	stop, err := t.make.runPrivately(ctx, t.vol.NewDataDir(), ops, append(mysqlops.RootFlags(file), more...)...)
	if err != nil {
		return fmt.Errorf("start on the copy: %w", err)
	}
	if err := do(ops); err != nil {
		_ = stop(false)
		return err
	}
	ops.Disconnect() // mysqld would wait for the session
	return stop(true)
}

func (t *takeover) renew(ctx context.Context, ops *mysqlops.Server, passwords mysqlops.Passwords) error {
	if err := ops.ResetReplicaAll(ctx, true); err != nil {
		return err
	}
	t.failures.at(failAfterReset)
	if err := ops.CheckEngines(ctx); err != nil {
		return err
	}
	config := t.settings.get()
	app := mysqlops.AppAccount{User: config.AppUser, Schema: config.AppSchema}
	if err := ops.RenewAccounts(ctx, passwords, app); err != nil {
		return err
	}
	if err := installFirst(ctx, ops, wantedBy(config)); err != nil {
		return err
	}
	return checkZone(ctx, ops, mycnf.TimeZone(config.MySQL))
}

// checkZone says that the copied tables of time zones lack the one that the pair is to use: the
// mysqld would not start. Tables of a server with a history are left as they are.
func checkZone(ctx context.Context, ops *mysqlops.Server, zone string) error {
	if zone == "" {
		return nil
	}
	if err := ops.CheckTimeZone(ctx, zone); err != nil {
		return configError{fmt.Errorf("spec.mysql.config: \"default_time_zone\": %w in the donor's tables; "+
			"load them there with mysql_tzinfo_to_sql, or write an offset such as +01:00", err)}
	}
	return nil
}

// attempts count those that failed to make a pair's first data of what is outside of it.
type attempts struct {
	log   logr.Logger
	state *board

	failed failedSeeds // of the data that is being made
	whole  bool        // the data came whole, and what follows that failed if anything did
}

// end publishes how an attempt ended. After a failure it waits, longer each time once some have
// failed in their middle, before the next order is taken. Of problems the one that is the cause of err
// is published, and the others are resolved.
func (a *attempts) end(
	ctx context.Context, data pair.DataID, what string, problems map[agentapi.ProblemCode]error, err error,
) {
	code := agentapi.ProblemSeedFailed
	if err != nil {
		code = maintenanceProblem(err)
	}
	for problem, cause := range problems {
		if errors.Is(err, cause) {
			code = problem
			continue
		}
		a.state.resolve(problem)
	}
	if err == nil {
		a.failed = failedSeeds{}
		return
	}
	if ctx.Err() != nil {
		return
	}
	if a.failed.data != data {
		a.failed = failedSeeds{data: data}
	}
	pause := judge.SeedPause(0)
	if a.whole || a.state.hasCopied() {
		a.failed.count++
		pause = judge.SeedPause(a.failed.count)
	}
	if code != agentapi.ProblemSeedFailed {
		a.state.resolve(agentapi.ProblemSeedFailed)
	}
	a.whole = false
	a.log.Error(err, "cannot make the first data", "of", what, "dataID", data, "failures", a.failed.count, "pause", pause)
	a.state.problem(code, fmt.Sprintf("%s: %v", what, err))
	sleep(ctx, pause)
}
