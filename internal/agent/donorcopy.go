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
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// donorCopies make the first data of a pair a copy of a server outside of it. They work in the
// directory in which new data is made, and the copy gets its final name when the accounts in
// it are those of the pair: nothing that was made before can be opened, and a crash leaves
// nothing that looks like data.
type donorCopies struct {
	opt      Options
	log      logr.Logger
	make     *newData
	settings *settings
	vol      *volume.Volume
	mysqld   *instance
	state    *board
	connect  func(password func() mysqlops.Secret) *mysqlops.Server
	failures *failpoints

	failed failedSeeds // of the copy that is under way
	whole  bool        // the copy was made, and what follows it failed if anything did
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

// ended publishes how the copy ended. After a failure it waits, longer each time once some have
// failed in their middle, before the next order is taken.
func (d *donorCopies) ended(ctx context.Context, command agentapi.InitializeCommand, err error) {
	code := agentapi.ProblemSeedFailed
	if err != nil {
		code = maintenanceProblem(err)
	}
	for problem, cause := range donorProblems {
		if errors.Is(err, cause) {
			code = problem
			continue
		}
		d.state.resolve(problem)
	}
	if err == nil {
		d.failed = failedSeeds{}
		return
	}
	if ctx.Err() != nil {
		return
	}
	if d.failed.data != command.DataID {
		d.failed = failedSeeds{data: command.DataID}
	}
	pause := judge.SeedPause(0)
	if d.whole || d.state.hasCopied() {
		d.failed.count++
		pause = judge.SeedPause(d.failed.count)
	}
	if code != agentapi.ProblemSeedFailed {
		d.state.resolve(agentapi.ProblemSeedFailed)
	}
	d.whole = false
	d.log.Error(err, "cannot copy the donor", "donor", command.Donor.Address(), "dataID", command.DataID,
		"failures", d.failed.count, "pause", pause)
	d.state.problem(code, fmt.Sprintf("copy of %s: %v", command.Donor.Address(), err))
	sleep(ctx, pause)
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
	stage("accounts")
	return d.takeOver(ctx)
}

func (d *donorCopies) copy(ctx context.Context, donor agentapi.ForeignDonor) error {
	ca := filepath.Join(d.opt.RunDir, "donor-ca.crt")
	from := mysqlops.Donor{
		Host:     donor.Host,
		Port:     donor.Port,
		User:     donor.User,
		Password: mysqlops.NewSecret(donor.Password),
		NoTLS:    donor.NoTLS,
		Recorded: donor.Backup,
	}
	if donor.CA != "" {
		if err := volume.WriteFile(ca, []byte(donor.CA), 0o600); err != nil {
			return fmt.Errorf("write the donor's authority: %w", err)
		}
		defer os.Remove(ca)
		from.TLS.CA = ca
	}
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

// takeOver makes the copy the pair's: it forgets what the donor replicated from, and the pair's
// accounts are created again. It has no network until then, so that nobody uses the donor's passwords.
func (d *donorCopies) takeOver(ctx context.Context) error {
	passwords := d.settings.all()
	script, err := mysqlops.RootScript(passwords.Root)
	if err != nil {
		return err
	}
	file := filepath.Join(d.opt.RunDir, "root.sql")
	if err := volume.WriteFile(file, []byte(script), 0o600); err != nil {
		return fmt.Errorf("write the script that creates root again: %w", err)
	}
	defer os.Remove(file)
	ops := d.connect(func() mysqlops.Secret { return passwords.Root })
	defer ops.Disconnect()
	stop, err := d.make.runPrivately(ctx, d.vol.NewDataDir(), ops, mysqlops.RootFlags(file)...)
	if err != nil {
		return fmt.Errorf("start on the copy: %w", err)
	}
	if err := d.renew(ctx, ops, passwords); err != nil {
		_ = stop(false)
		return err
	}
	ops.Disconnect() // mysqld would wait for the session
	return stop(true)
}

func (d *donorCopies) renew(ctx context.Context, ops *mysqlops.Server, passwords mysqlops.Passwords) error {
	if err := ops.ResetReplicaAll(ctx, true); err != nil {
		return err
	}
	d.failures.at(failAfterReset)
	if err := ops.CheckEngines(ctx); err != nil {
		return err
	}
	config := d.settings.get()
	app := mysqlops.AppAccount{User: config.AppUser, Schema: config.AppSchema}
	if err := ops.RenewAccounts(ctx, passwords, app); err != nil {
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
