package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// restAfterFailure is how long a failed initialization stays the member's business:
// the operator orders it again as soon as it is not, many times a second.
const restAfterFailure = 3 * time.Second

func rest(ctx context.Context) { sleep(ctx, restAfterFailure) }

// adopt makes the data directory that is there the member's data of this name.
func (a *Agent) adopt(data pair.DataID) error {
	id := a.data.get()
	id.Copied = id.Donor != ""
	id.DataID = data
	id.Initializing = ""
	id.Donor = ""
	id.Void = false
	// Whatever passwords the former data had, these are those of the new.
	prints, _ := a.settings.fingerprints()
	if err := a.vol.WritePasswords(volume.Passwords{Applied: prints}); err != nil {
		return err
	}
	if err := a.vol.WriteIdentity(id); err != nil {
		return err
	}
	a.data.set(id)
	a.queue.post(authority.DataReady{
		At:        process.Now(),
		DataID:    data,
		EpochFile: true,
		Renewed:   true,
	})
	a.state.bump()
	return nil
}

// initialize makes data on an empty volume, in a directory of its own that gets its
// final name when it is complete, so that a crash leaves nothing that looks like data.
func (a *Agent) initialize(ctx context.Context, data pair.DataID) {
	started := process.Now()
	err := a.tryInitialize(ctx, data)
	if err != nil {
		a.log.Error(err, "cannot initialize", "dataID", data)
		a.state.problem(maintenanceProblem(err), "initialize: "+err.Error())
		rest(ctx)
	}
	a.data.vacate()
	if err != nil {
		return
	}
	a.state.resolve(agentapi.ProblemSeedFailed)
	a.log.Info("initialized", "dataID", data, "took", process.Now().Sub(started))
}

func (a *Agent) tryInitialize(ctx context.Context, data pair.DataID) error {
	id := a.data.get()
	id.Initializing = data
	if err := a.vol.WriteIdentity(id); err != nil {
		return err
	}
	a.data.set(id)
	a.failures.at(failAfterMark)
	if err := a.makeNew(ctx, mycnf.NewDataFlags()...); err != nil {
		return err
	}
	a.failures.at(failAfterInit)
	if err := a.makeAccounts(ctx); err != nil {
		return err
	}
	a.failures.at(failAfterAccounts)
	if err := a.vol.InstallNew(); err != nil {
		return err
	}
	a.failures.at(failAfterInstall)
	return a.adopt(data)
}

// makeNew runs mysqld --initialize on a new directory, with more flags than the usual ones.
func (a *Agent) makeNew(ctx context.Context, more ...string) error {
	if err := a.image.check(ctx); err != nil {
		return err
	}
	if err := a.vol.DropNew(); err != nil {
		return err
	}
	dir := a.vol.NewDataDir()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := a.vol.EmptyTemp(); err != nil {
		return err
	}
	complaints, err := a.options.write(ctx, dir)
	if err == nil && len(complaints) > 0 {
		err = errors.New(settingsMessage(complaints))
	}
	if errors.Is(err, errCut) {
		return err
	}
	if err != nil {
		return configError{err}
	}
	cmd := exec.CommandContext(ctx, a.opt.Mysqld, append(mycnf.InitFlags(a.opt.optionFile()), more...)...)
	log := &tail{}
	cmd.Stdout = log
	cmd.Stderr = log
	if err := process.Run(cmd); err != nil {
		_, _ = os.Stderr.Write(log.text)
		return fmt.Errorf("mysqld --initialize: %s", errorLines(string(log.text), err))
	}
	return nil
}

// makeAccounts starts mysqld on the new directory, loads the time zones, makes the pair's
// accounts and ends it.
func (a *Agent) makeAccounts(ctx context.Context) error {
	ops := a.handle(func() mysqlops.Secret { return mysqlops.Secret{} })
	defer ops.Disconnect()
	stop, err := a.runPrivately(ctx, a.vol.NewDataDir(), ops)
	if err != nil {
		return err
	}
	if err := a.loadTimeZones(ctx, ops); err != nil {
		_ = stop(false)
		return err
	}
	config := a.settings.get()
	app := mysqlops.AppAccount{User: config.AppUser, Schema: config.AppSchema}
	if err := ops.CreateAccounts(ctx, a.settings.all(), app); err != nil {
		_ = stop(false)
		return err
	}
	ops.Disconnect() // mysqld would wait for the session
	return stop(true)
}

// runPrivately starts a mysqld that the machine does not know of, closed like any other, on
// data that was just initialized.
// stop ends it, cleanly if asked.
func (a *Agent) runPrivately(ctx context.Context, dir string, ops *mysqlops.Server) (stop func(clean bool) error, err error) {
	proc, _, err := a.launch(ctx, dir, true, mycnf.NewDataFlags()...)
	if err != nil {
		return nil, err
	}
	stop = func(clean bool) error {
		if clean {
			proc.Terminate()
		} else {
			proc.Kill()
		}
		select {
		case <-proc.Exited():
		case <-time.After(2 * time.Minute):
			proc.Kill()
			<-proc.Exited()
		}
		a.mysqld.mu.Lock()
		a.mysqld.child.proc = nil
		a.mysqld.mu.Unlock()
		if clean && proc.ExitCode() != 0 {
			return fmt.Errorf("mysqld ended with %s", proc.How())
		}
		return nil
	}
	for {
		if err = ops.Ping(ctx); err == nil {
			return stop, nil
		}
		select {
		case <-ctx.Done():
			_ = stop(false)
			return nil, ctx.Err()
		case <-proc.Exited():
			_ = stop(false)
			return nil, fmt.Errorf("mysqld ended with %s before it answered", proc.How())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail keeps the last part of what is written to it.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	const limit = 64 << 10
	t.text = append(t.text, p...)
	if len(t.text) > limit {
		t.text = t.text[len(t.text)-limit:]
	}
	return len(p), nil
}

func maintenanceProblem(err error) agentapi.ProblemCode {
	var config configError
	if errors.As(err, &config) {
		return agentapi.ProblemConfigInvalid
	}
	if code := problemOfVolume(err); code == agentapi.ProblemVolumeFull {
		return code
	}
	return agentapi.ProblemSeedFailed
}
