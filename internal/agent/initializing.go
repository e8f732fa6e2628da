package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/pair"
)

// initializing makes the pair's first data on an empty volume.
type initializing struct {
	gate     dataGate
	log      logr.Logger
	vol      *volume.Volume
	data     *dataset
	state    *board
	make     dataMaker
	donors   foreignData
	dumps    foreignData
	adoption *adoption
	beside   beside // the command: it does not wait for the end
	failures *failpoints
}

// foreignData makes the contents of a new data directory of what is outside of the pair.
type foreignData interface {
	// contents copies or loads it and makes the pair's accounts in it.
	contents(ctx context.Context, command agentapi.InitializeCommand) error
	// ended publishes how that ended, and waits after a failure.
	ended(ctx context.Context, command agentapi.InitializeCommand, err error)
}

// dataMaker makes a new data directory beside the one in use.
type dataMaker interface {
	// directory runs mysqld --initialize.
	directory(ctx context.Context, more ...string) error
	// accounts makes the pair's accounts in it.
	accounts(ctx context.Context) error
}

// restAfterFailure is how long a failed initialization stays the member's business:
// the operator orders it again as soon as it is not, many times a second.
const restAfterFailure = 3 * time.Second

func rest(ctx context.Context) { sleep(ctx, restAfterFailure) }

// order makes the first data of the pair here, when the Lease allows it.
func (i *initializing) order(ctx context.Context, c agentapi.InitializeCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: i.state.view().Known}
	if err := i.gate.head(c.Command); err != nil {
		return done, err
	}
	record, err := i.gate.reading(ctx)
	if err != nil {
		return done, err
	}
	b := record.Bootstrap
	if record.PairUID != i.gate.pairUID || b == nil || b.Member != i.gate.self || b.DataID != c.DataID || c.DataID == "" {
		if id := i.data.get(); id.DataID == c.DataID && c.DataID != "" && !id.Void {
			return done, nil
		}
		return done, refuse(agentapi.ErrorRefused, "the Lease does not allow this member to initialize data %q", c.DataID)
	}
	switch err := i.data.occupy(agentapi.PhaseInitializing, c.DataID, i.mayInitialize); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	i.log.Info("initializing", "dataID", c.DataID)
	i.state.bump()
	i.beside(func(ctx context.Context) { i.run(ctx, c) })
	return done, nil
}

// mayInitialize says why no data is made here; nil when the volume is empty.
func (i *initializing) mayInitialize() error {
	id := i.data.get()
	full, err := i.vol.HasData()
	switch {
	case err != nil:
		return fmt.Errorf("whether the volume is empty: %w", err)
	case full || id.DataID != "" || id.Void:
		return fmt.Errorf("the volume is not empty: it holds data %q", id.DataID)
	}
	return nil
}

// run makes data on an empty volume, in a directory of its own that gets its
// final name when it is complete, so that a crash leaves nothing that looks like data.
func (i *initializing) run(ctx context.Context, command agentapi.InitializeCommand) {
	started := process.Now()
	data := command.DataID
	contents := i.make.accounts
	foreign := i.foreign(command)
	if foreign != nil {
		contents = func(ctx context.Context) error { return foreign.contents(ctx, command) }
	}
	err := i.try(ctx, data, contents)
	switch {
	case foreign != nil:
		foreign.ended(ctx, command, err)
	case err != nil:
		i.log.Error(err, "cannot initialize", "dataID", data)
		i.state.problem(maintenanceProblem(err), "initialize: "+err.Error())
		rest(ctx)
	}
	i.data.vacate()
	if err != nil {
		return
	}
	i.state.resolve(agentapi.ProblemSeedFailed)
	i.log.Info("initialized", "dataID", data, "took", process.Now().Sub(started))
}

// foreign is what makes the contents; nil for data that begins empty.
func (i *initializing) foreign(command agentapi.InitializeCommand) foreignData {
	switch {
	case command.Donor != nil:
		return i.donors
	case command.Dump != nil:
		return i.dumps
	}
	return nil
}

// try makes the data with these contents.
func (i *initializing) try(ctx context.Context, data pair.DataID, contents func(context.Context) error) error {
	id := i.data.get()
	id.Initializing = data
	if err := i.vol.WriteIdentity(id); err != nil {
		return err
	}
	i.data.set(id)
	i.failures.at(failAfterMark)
	if err := i.make.directory(ctx, mycnf.NewDataFlags()...); err != nil {
		return err
	}
	i.failures.at(failAfterInit)
	if err := contents(ctx); err != nil {
		return err
	}
	i.failures.at(failAfterAccounts)
	if err := i.vol.InstallNew(); err != nil {
		return err
	}
	i.failures.at(failAfterInstall)
	return i.adoption.adopt(data)
}

// adoption makes a data directory that is complete the member's data.
type adoption struct {
	vol      *volume.Volume
	data     *dataset
	settings *settings
	state    *board
	post     func(authority.Event)
}

// adopt makes the data directory that is there the member's data of this name.
func (p *adoption) adopt(data pair.DataID) error {
	id := p.data.get()
	id.Copied = id.Donor != ""
	id.DataID = data
	id.Initializing = ""
	id.Donor = ""
	id.Void = false
	id.SeparateBinlogs = p.vol.HasBinlogVolume()
	// Whatever passwords the former data had, these are those of the new.
	prints, _ := p.settings.fingerprints()
	if err := p.vol.WritePasswords(volume.Passwords{Applied: prints}); err != nil {
		return err
	}
	if err := p.vol.WriteIdentity(id); err != nil {
		return err
	}
	p.data.set(id)
	p.post(authority.DataReady{
		At:        process.Now(),
		DataID:    data,
		EpochFile: true,
		Renewed:   true,
	})
	p.state.bump()
	return nil
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
