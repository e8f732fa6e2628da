package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// seed replaces this member's data by a copy of the donor's. The volume says that the data
// is void before anything of it is given up, so that a crash in between leaves no data that
// looks complete.
func (a *Agent) seed(ctx context.Context, command agentapi.SeedCommand) {
	started := process.Now()
	err := a.trySeed(ctx, command)
	if err == nil {
		a.failedSeeds = failedSeeds{}
	}
	if err != nil && ctx.Err() == nil {
		a.seedFailed(ctx, command, err)
	}
	a.data.vacate()
	if id := a.data.get(); err != nil && !id.Void && id.DataID != "" {
		// Nothing was given up: the machine may go on with what is there.
		a.queue.post(authority.DataReady{At: process.Now(), DataID: id.DataID})
	}
	if err == nil {
		a.state.resolve(agentapi.ProblemSeedFailed)
		a.state.refusesRewind(tailRefusal{}) // it was that of the former data
		a.log.Info("seeded", "donor", command.Donor, "dataID", command.DataID, "took", process.Now().Sub(started))
	}
	a.state.bump()
}

func (a *Agent) trySeed(ctx context.Context, command agentapi.SeedCommand) error {
	if err := a.emptyHands(ctx); err != nil {
		return err
	}
	old := a.data.get()
	id := old
	id.Void = true
	id.Initializing = command.DataID
	id.Donor = command.Donor
	if err := a.vol.WriteIdentity(id); err != nil {
		return err
	}
	a.data.set(id)
	a.failures.at(failAfterMark)
	stage := func(name string) {
		a.state.progress(&agentapi.SeedProgress{Donor: command.Donor, Stage: name})
	}
	stage("quarantine")
	if files, err := a.vol.Quarantine(old.DataID); err != nil {
		return err
	} else if files > 0 {
		a.log.Info("binary logs kept in quarantine", "dataID", old.DataID, "files", files)
	}
	a.failures.at(failAfterQuarantine)
	if err := a.vol.GiveUpData(); err != nil {
		return err
	}
	stage("initialize")
	if err := a.makeNew(ctx, mycnf.NewDataFlags()...); err != nil {
		return err
	}
	if err := a.vol.InstallNew(); err != nil {
		return err
	}
	a.failures.at(failAfterInstall)
	if err := a.clone(ctx, command); err != nil {
		return err
	}
	a.failures.at(failAfterClone)
	return a.adopt(command.DataID)
}

// emptyHands has the machine give up its mysqld and waits for the end.
func (a *Agent) emptyHands(ctx context.Context) error {
	a.queue.post(authority.DataGone{At: process.Now()})
	a.follow.order(orderNone, 0)
	for {
		proc := a.mysqld.process()
		view := a.state.view()
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

// clone copies the donor into the running, empty mysqld, which ends for it.
func (a *Agent) clone(ctx context.Context, command agentapi.SeedCommand) error {
	ops := a.handle(func() mysqlops.Secret { return mysqlops.Secret{} })
	defer ops.Disconnect()
	stop, err := a.runPrivately(ctx, a.vol.DataDir(), ops)
	if err != nil {
		return err
	}
	donor, err := a.donor(command)
	if err == nil {
		var pace judge.CopyPace
		err = ops.CloneFrom(ctx, donor, func(p mysqlops.CloneProgress) {
			rate, remaining := pace.Saw(process.Now(), p)
			a.state.progress(&agentapi.SeedProgress{
				Donor:          command.Donor,
				Stage:          p.Stage,
				Bytes:          p.Bytes,
				Estimated:      p.Total,
				BytesPerSecond: rate,
				Remaining:      remaining,
			})
		})
	}
	if err != nil {
		_ = stop(false)
		return err
	}
	proc := a.mysqld.process()
	select {
	case <-proc.Exited():
	case <-time.After(time.Minute):
		_ = stop(false)
		return errors.New("mysqld did not end after the copy")
	}
	return errors.Join(copied(proc), stop(false))
}

// copied says why the end of mysqld is not that of a finished copy; nil when it is.
func copied(proc *process.Mysqld) error {
	if !judge.CopyFinished(proc.ExitCode()) {
		return fmt.Errorf("mysqld ended with %s while it copied, a finished copy ends with exit 16; it is seeded again", proc.How())
	}
	return nil
}

func (a *Agent) donor(command agentapi.SeedCommand) (mysqlops.Donor, error) {
	d := mysqlops.Donor{
		Host:     command.DonorHost,
		Port:     pair.PortAdmin,
		User:     mysqlops.UserClone,
		Password: a.settings.password(agentapi.PasswordFileClone),
		TLS:      a.certs.files(),
	}
	var err error
	if d.MaxBandwidth, err = bandwidth(a.settings.get().MaxBandwidth); err != nil {
		return d, err
	}
	if a.opt.PeerAdmin != "" {
		d.Host, d.Port, err = peerAdmin(a.opt, a.env.Peer, a.settings.get())
	}
	return d, err
}

// bandwidth is a quantity in bytes a second; 0 for none.
func bandwidth(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil || quantity.Sign() <= 0 {
		return 0, fmt.Errorf("spec.rejoin.maxBandwidth %q is no quantity of bytes a second such as 50Mi", text)
	}
	return quantity.Value(), nil
}

// settle has the first mysqld on a copy forget the donor's channel, which leads to this
// member itself, before anything else is done with it.
func (a *Agent) settle(ctx context.Context) error {
	id := a.data.get()
	if !id.Copied {
		return nil
	}
	if err := a.ops.ResetReplicaAll(ctx, true); err != nil {
		return err
	}
	a.failures.at(failAfterReset)
	id.Copied = false
	if err := a.vol.WriteIdentity(id); err != nil {
		return err
	}
	a.data.set(id)
	return nil
}
