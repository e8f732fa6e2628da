package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// donorCopies make the first data of a pair a copy of a server outside of it. They work in the
// directory in which new data is made, and the copy gets its final name when the accounts in
// it are those of the pair: nothing that was made before can be opened, and a crash leaves
// nothing that looks like data.
type donorCopies struct {
	*attempts
	opt      Options
	make     *newData
	settings *settings
	vol      *volume.Volume
	mysqld   *instance
	state    *board
	accounts *takeover
	failures *failpoints
}

// donorProblems are why a donor cannot be copied, by what is published.
var donorProblems = map[agentapi.ProblemCode]error{
	agentapi.ProblemDonorUnreachable: mysqlops.ErrDonorUnreachable,
	agentapi.ProblemDonorCertificate: mysqlops.ErrDonorCertificate,
	agentapi.ProblemDonorDenied:      mysqlops.ErrDonorDenied,
	agentapi.ProblemDonorSeries:      mysqlops.ErrDonorSeries,
	agentapi.ProblemDonorPlugin:      mysqlops.ErrDonorPlugin,
	agentapi.ProblemDonorEngines:     mysqlops.ErrDonorEngines,
	agentapi.ProblemDonorSettings:    mysqlops.ErrDonorSettings,
}

// ended publishes how the copy ended, and waits after a failure.
func (d *donorCopies) ended(ctx context.Context, command agentapi.InitializeCommand, err error) {
	d.end(ctx, command.DataID, "copy of "+command.Donor.Address(), donorProblems, err)
}

// contents makes the data's contents in the directory of new data.
func (d *donorCopies) contents(ctx context.Context, command agentapi.InitializeCommand) error {
	stage := func(name string) {
		d.state.progress(&agentapi.SeedProgress{Donor: pair.MemberName(command.Donor.Address()), Stage: name})
	}
	stage("initialize")
	if err := d.copy(ctx, *command.Donor); err != nil {
		return err
	}
	d.whole = true
	d.failures.at(failAfterClone)
	if command.Donor.Replay != 0 {
		if err := d.replay(ctx, *command.Donor, stage); err != nil {
			return err
		}
		d.failures.at(failAfterReplay)
	}
	stage("accounts")
	return d.accounts.run(ctx)
}

// replay has the copy go on to where the donor's source ends.
func (d *donorCopies) replay(ctx context.Context, donor agentapi.ForeignDonor, stage func(string)) error {
	from, err := d.source(donor)
	if err != nil {
		return err
	}
	remove, err := writeAuthority(from, donor)
	if err != nil {
		return err
	}
	defer remove()
	stage("replay")
	source := mysqlops.Source{
		Host:     donor.Host,
		Port:     donor.Replay,
		User:     donor.User,
		Password: from.Password,
		TLS:      from.TLS,
	}
	return d.accounts.replay(ctx, source, func(r mysqlops.Replay) { stage(replayStage(r)) })
}

// replayStage changes ten times in a replay: each change of the state goes to all that watch it.
func replayStage(r mysqlops.Replay) string {
	const step = 10
	percent := int(100*float64(r.Done)/float64(max(r.Total, 1))) / step * step
	return fmt.Sprintf("replay of %d transactions, %d %% are done", r.Total, percent)
}

// writeAuthority writes the donor's certificate authority to its file, which remove removes.
func writeAuthority(from mysqlops.Donor, donor agentapi.ForeignDonor) (remove func(), err error) {
	if donor.CA == "" {
		return func() {}, nil
	}
	if err := volume.WriteFile(from.TLS.CA, []byte(donor.CA), 0o600); err != nil {
		return nil, fmt.Errorf("write the donor's authority: %w", err)
	}
	return func() { _ = os.Remove(from.TLS.CA) }, nil
}

func (d *donorCopies) copy(ctx context.Context, donor agentapi.ForeignDonor) error {
	from, err := d.source(donor)
	if err != nil {
		return err
	}
	remove, err := writeAuthority(from, donor)
	if err != nil {
		return err
	}
	defer remove()
	ops := d.make.connect()
	defer ops.Disconnect()
	stop, err := d.make.runPrivately(ctx, d.vol.NewDataDir(), ops)
	if err != nil {
		return err
	}
	// What a server is asked before, mysqld itself compares with a recording.
	if !donor.Backup {
		err = ops.CheckDonor(ctx, from)
	}
	if err == nil {
		err = ops.CloneFrom(ctx, from, copying(d.state, pair.MemberName(donor.Address())))
	}
	return awaitCopied(d.mysqld, err, stop)
}

// source is how a donor is copied. The file of its certificate authority is not written yet.
func (d *donorCopies) source(donor agentapi.ForeignDonor) (from mysqlops.Donor, err error) {
	from = mysqlops.Donor{
		Host:     donor.Host,
		Port:     donor.Port,
		User:     donor.User,
		Password: mysqlops.NewSecret(donor.Password),
		NoTLS:    donor.NoTLS,
		Recorded: donor.Backup,
	}
	if donor.CA != "" {
		from.TLS.CA = filepath.Join(d.opt.RunDir, "donor-ca.crt")
	}
	if from.MaxBandwidth, err = bandwidth(d.settings.get().MaxBandwidth); err != nil {
		return from, configError{err}
	}
	return from, nil
}
