package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// starter brings the member's mysqld up: closed, read back, and ready to be opened.
type starter struct {
	log       logr.Logger
	ops       startServer
	launcher  *launcher
	options   *optionFile
	libraries *libraries
	exits     *exits
	vol       *volume.Volume
	data      *dataset
	mysqld    *instance
	state     *board
	post      func(authority.Event)
	denied    func() bool // mysqld did not take root's password; reports whether another is to be tried
	beside    beside
	failures  *failpoints
	reseed    string // the command that copies this member again
}

// startServer is what the start needs of mysqld.
type startServer interface {
	globalsReader
	Ping(ctx context.Context) error
	VerifyOwned(ctx context.Context, want []mycnf.Expectation) ([]mysqlops.Difference, error)
	Warm(ctx context.Context) error
	ResetReplicaAll(ctx context.Context, discard bool) error
}

// exiting is a process that may end.
type exiting interface {
	Exited() <-chan struct{}
}

// start starts mysqld closed, waits until it answers and reads it back. It reports
// MysqldUp, and MysqldExited when it could not be started or has ended.
func (s *starter) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mysqld.starting(cancel)
	if err := s.vol.CheckBinlogs(s.data.get()); err != nil {
		s.withoutBinlogs(err)
		return
	}
	proc, incarnation, err := s.launcher.launch(ctx, s.vol.DataDir(), true)
	if err != nil {
		s.log.Error(err, "cannot start mysqld")
		s.post(authority.MysqldExited{At: process.Now()})
		return
	}
	go s.exits.await(proc)
	if !s.awaitUp(ctx, proc) {
		return
	}
	s.options.readBack(ctx, s.ops)
	s.libraries.install(ctx)
	if err := s.settle(ctx); err != nil {
		// Half settled is not up; the next start tries again.
		s.log.Error(err, "cannot make the copy forget its donor's channel")
		proc.Kill()
		return
	}
	s.mysqld.hasComeUp()
	s.beside(func(ctx context.Context) { s.exits.killAtShutdown(ctx, proc) })
	s.state.resolve(agentapi.ProblemMysqldExits)
	s.log.Info("mysqld is up and closed", "incarnation", incarnation)
	s.post(authority.MysqldUp{At: process.Now(), Incarnation: incarnation})
	s.state.bump()
}

// awaitUp waits for an answer and until every owned variable is as it should be in a
// closed member. False: ctx ended or mysqld did.
func (s *starter) awaitUp(ctx context.Context, proc exiting) bool {
	expect := mycnf.Expect(s.options.own(), mycnf.State{})
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := s.ops.Ping(ctx)
		if err == nil {
			s.state.resolve(agentapi.ProblemWrongPassword)
			if err = s.readBack(ctx, expect); err == nil {
				return true
			}
			s.log.Error(err, "mysqld is not as it should be; it stays closed")
			pause = time.Second
		} else if errors.Is(err, mysqlops.ErrAccessDenied) {
			if s.denied() {
				continue
			}
			s.state.problem(agentapi.ProblemWrongPassword,
				"mysqld takes no password of root that is in the pair's internal Secret; if this is the passive, copy it again: "+
					s.reseed+"; docs/runbooks/WrongPassword.md says more")
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

func (s *starter) readBack(ctx context.Context, expect []mycnf.Expectation) error {
	differences, err := s.ops.VerifyOwned(ctx, expect)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		err := &mysqlops.DriftError{Differences: differences}
		s.state.problem(agentapi.ProblemOwnedVariable, err.Error())
		return err
	}
	s.state.resolve(agentapi.ProblemOwnedVariable)
	return s.ops.Warm(ctx)
}

// settle has the first mysqld on a copy forget the donor's channel, which leads to this
// member itself, before anything else is done with it.
func (s *starter) settle(ctx context.Context) error {
	id := s.data.get()
	if !id.Copied {
		return nil
	}
	if err := s.ops.ResetReplicaAll(ctx, true); err != nil {
		return err
	}
	s.failures.at(failAfterReset)
	id.Copied = false
	if err := s.vol.WriteIdentity(id); err != nil {
		return err
	}
	s.data.set(id)
	return nil
}
