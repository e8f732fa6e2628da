package agent

import (
	"context"
	"errors"
	"os"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/pair"
)

// launcher starts a mysqld of the image on a data directory, closed, after everything that can
// be found wrong before has been.
type launcher struct {
	opt      Options
	self     string // the agent's own program, which is the deadman, too
	log      logr.Logger
	image    *image
	options  *optionFile
	vol      *volume.Volume
	mysqld   *instance
	state    *board
	failures *failpoints
}

// launch renders and validates the option file and starts mysqld on a data directory, with
// more flags than the usual ones.
func (l *launcher) launch(ctx context.Context, dataDir string, deadman bool, more ...string) (*process.Mysqld, pair.Incarnation, error) {
	if err := l.image.check(ctx); err != nil {
		return nil, "", err
	}
	if err := l.image.checkData(dataDir); err != nil {
		return nil, "", err
	}
	if err := l.vol.EmptyTemp(); err != nil {
		l.state.problem(problemOfVolume(err), err.Error())
		return nil, "", err
	}
	complaints, err := l.options.write(ctx, dataDir)
	if errors.Is(err, errCut) {
		return nil, "", err
	}
	if err != nil {
		l.state.problem(agentapi.ProblemConfigInvalid, err.Error())
		return nil, "", err
	}
	l.state.resolve(agentapi.ProblemConfigInvalid)
	l.options.publish(complaints)
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	spec := process.Spec{
		Program: l.opt.Mysqld,
		Args:    append(mycnf.Flags(l.opt.optionFile()), more...),
		Output:  os.Stderr,
	}
	if deadman {
		spec.Self = l.self
	}
	l.failures.at(failBeforeStart)
	proc, err := process.Start(spec)
	if err != nil {
		l.state.problem(agentapi.ProblemMysqldExits, err.Error())
		return nil, "", err
	}
	incarnation := pair.Incarnation(random())
	l.mysqld.started(proc, incarnation)
	l.log.Info("mysqld started", "incarnation", incarnation, "pid", proc.PID())
	l.state.bump()
	if ctx.Err() != nil {
		proc.Kill() // killed between the check above and here
	}
	return proc, incarnation, nil
}
