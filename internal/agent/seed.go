package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/pair"
)

// seeding replaces this member's data by a copy of the primary's.
type seeding struct {
	gate     dataGate
	log      logr.Logger
	vol      *volume.Volume
	data     *dataset
	mysqld   *instance
	state    *board
	follow   orders
	make     dataMaker
	copier   copier
	backups  backupCopier
	adoption *adoption
	givenUp  interface {
		giveUp(ctx context.Context, former, copy pair.DataID)
	}
	post     func(authority.Event)
	beside   beside // the command: it does not wait for the end
	failures *failpoints

	failed failedSeeds // of the seed that is under way
}

// copier copies the donor's data into the new data directory.
type copier interface {
	clone(ctx context.Context, command agentapi.SeedCommand) error
}

// backupCopier makes the contents of the directory of new data of a backup, up to what the primary has.
type backupCopier interface {
	contents(ctx context.Context, command agentapi.SeedCommand) error
}

// order replaces this member's data by a copy of the donor's, when the Lease allows it.
func (s *seeding) order(ctx context.Context, c agentapi.SeedCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: s.state.view().Known}
	if err := s.gate.head(c.Command); err != nil {
		return done, err
	}
	if c.DataID == "" || strings.ContainsAny(string(c.DataID), "/.") {
		return done, refuse(agentapi.ErrorRefused, "data id %q", c.DataID)
	}
	if id := s.data.get(); id.DataID == c.DataID && !id.Void {
		return done, nil
	}
	record, err := s.gate.reading(ctx)
	if err != nil {
		return done, err
	}
	switch err := s.data.occupy(agentapi.PhaseSeeding, c.DataID, func() error { return s.gate.giving(record).MaySeed(c) }); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	s.log.Info("seeding", "donor", c.Donor, "dataID", c.DataID, "target", c.Target, "backup", c.Backup != nil)
	s.state.bump()
	s.beside(func(ctx context.Context) { s.run(ctx, c) })
	return done, nil
}

// run replaces this member's data by a copy of the donor's. The volume says that the data
// is void before anything of it is given up, so that a crash in between leaves no data that
// looks complete.
func (s *seeding) run(ctx context.Context, command agentapi.SeedCommand) {
	started := process.Now()
	err := s.try(ctx, command)
	if err == nil {
		s.failed = failedSeeds{}
	}
	if err != nil && ctx.Err() == nil {
		s.fail(ctx, command, err)
	}
	s.data.vacate()
	if id := s.data.get(); err != nil && !id.Void && id.DataID != "" {
		// Nothing was given up: the machine may go on with what is there.
		s.post(authority.DataReady{At: process.Now(), DataID: id.DataID})
	}
	if err == nil {
		s.state.resolve(agentapi.ProblemSeedFailed)
		s.state.resolve(agentapi.ProblemBinlogsLost)
		s.state.refusesRewind(tailRefusal{}) // it was that of the former data
		s.log.Info("seeded", "donor", command.Donor, "dataID", command.DataID, "took", process.Now().Sub(started))
	}
	s.state.bump()
}

func (s *seeding) try(ctx context.Context, command agentapi.SeedCommand) error {
	if err := s.emptyHands(ctx); err != nil {
		return err
	}
	old := s.data.get()
	id := old
	id.Void = true
	id.Initializing = command.DataID
	id.Donor = command.Donor
	if err := s.vol.WriteIdentity(id); err != nil {
		return err
	}
	s.data.set(id)
	s.failures.at(failAfterMark)
	stage := func(name string) {
		s.state.progress(&agentapi.SeedProgress{Donor: command.Donor, Stage: name})
	}
	stage("quarantine")
	if files, err := s.vol.Quarantine(old.DataID); err != nil {
		return err
	} else if files > 0 {
		s.log.Info("binary logs kept in quarantine", "dataID", old.DataID, "files", files)
	}
	s.failures.at(failAfterQuarantine)
	noted := s.noteGivenUp(ctx, old.DataID, command.DataID)
	defer noted()
	if err := s.vol.GiveUpData(); err != nil {
		return err
	}
	stage("initialize")
	if err := s.make.directory(ctx, mycnf.NewDataFlags()...); err != nil {
		return err
	}
	if err := s.fill(ctx, command); err != nil {
		return err
	}
	noted()
	return s.adoption.adopt(command.DataID)
}

// fill makes the new data a copy. That of a backup gets its final name when it is complete; mysqld
// copies a donor into the directory that it will run on.
func (s *seeding) fill(ctx context.Context, command agentapi.SeedCommand) error {
	if command.Backup != nil {
		if err := s.backups.contents(ctx, command); err != nil {
			return err
		}
	}
	if err := s.vol.InstallNew(); err != nil {
		return err
	}
	s.failures.at(failAfterInstall)
	if command.Backup != nil {
		return nil
	}
	if err := s.copier.clone(ctx, command); err != nil {
		return err
	}
	s.failures.at(failAfterClone)
	return nil
}

// noteGivenUp reads beside the copy what the former data had that the primary lacks. The function that it returns waits
// for the end of that.
func (s *seeding) noteGivenUp(ctx context.Context, former, copy pair.DataID) (await func()) {
	if former == "" {
		return func() {} // an empty volume
	}
	var reading sync.WaitGroup
	reading.Go(func() { s.givenUp.giveUp(ctx, former, copy) })
	return reading.Wait
}

// emptyHands has the machine give up its mysqld and waits for the end.
func (s *seeding) emptyHands(ctx context.Context) error {
	s.post(authority.DataGone{At: process.Now()})
	s.follow.order(orderNone, 0)
	for {
		proc := s.mysqld.process()
		view := s.state.view()
		switch view.Serving {
		case authority.Stopped:
			if proc == nil && !view.Data {
				return nil
			}
		case authority.Booting, authority.Shut:
			if proc != nil {
				proc.Kill() // its data is given up
			}
		case authority.Opening, authority.Serves, authority.Closing, authority.Killing, authority.Ending:
			return fmt.Errorf("mysqld is %s", view.Serving)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
