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
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// pinger is a mysqld that answers, or not yet.
type pinger interface {
	Ping(ctx context.Context) error
}

// newData makes data directories. The mysqlds that it runs for that are none of the machine's.
type newData struct {
	opt      Options
	image    *image
	options  *optionFile
	launcher *launcher
	zones    *timeZones
	settings *settings
	vol      *volume.Volume
	mysqld   *instance
	connect  func() *mysqlops.Server // to a mysqld on new data, where root has no password
}

// directory runs mysqld --initialize on a new directory, with more flags than the usual ones.
func (n *newData) directory(ctx context.Context, more ...string) error {
	if err := n.image.check(ctx); err != nil {
		return err
	}
	if err := n.vol.DropNew(); err != nil {
		return err
	}
	if err := n.vol.NewBinlogs(); err != nil {
		return err
	}
	dir := n.vol.NewDataDir()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := n.vol.EmptyTemp(); err != nil {
		return err
	}
	complaints, err := n.options.write(ctx, dir)
	if err == nil && len(complaints) > 0 {
		err = errors.New(settingsMessage(complaints))
	}
	if errors.Is(err, errCut) {
		return err
	}
	if err != nil {
		return configError{err}
	}
	cmd := exec.CommandContext(ctx, n.opt.Mysqld, append(mycnf.InitFlags(n.opt.optionFile()), more...)...)
	log := &tail{}
	cmd.Stdout = log
	cmd.Stderr = log
	if err := process.Run(cmd); err != nil {
		_, _ = os.Stderr.Write(log.text)
		return fmt.Errorf("mysqld --initialize: %s", errorLines(string(log.text), err))
	}
	return nil
}

// accounts starts mysqld on the new directory, loads the time zones, makes the pair's
// accounts, installs the components and ends it.
func (n *newData) accounts(ctx context.Context) error {
	ops := n.connect()
	defer ops.Disconnect()
	stop, err := n.runPrivately(ctx, n.vol.NewDataDir(), ops)
	if err != nil {
		return err
	}
	config := n.settings.get()
	if err := n.zones.load(ctx, ops, mycnf.TimeZone(config.MySQL)); err != nil {
		_ = stop(false)
		return err
	}
	app := mysqlops.AppAccount{User: config.AppUser, Schema: config.AppSchema}
	if err := ops.CreateAccounts(ctx, n.settings.all(), app); err != nil {
		_ = stop(false)
		return err
	}
	// After the accounts: a component may have rules for passwords.
	if err := installFirst(ctx, ops, wantedBy(config)); err != nil {
		_ = stop(false)
		return err
	}
	ops.Disconnect() // mysqld would wait for the session
	return stop(true)
}

// runPrivately starts a mysqld that the machine does not know of, closed like any other, on
// data that was just initialized, with more flags than the usual ones.
// stop ends it, cleanly if asked.
func (n *newData) runPrivately(
	ctx context.Context, dir string, ops pinger, more ...string,
) (stop func(clean bool) error, err error) {
	proc, _, err := n.launcher.launch(ctx, dir, true, append(mycnf.NewDataFlags(), more...)...)
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
		n.mysqld.forgetProcess()
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
