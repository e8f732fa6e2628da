package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// cloning copies a donor with MySQL's CLONE.
type cloning struct {
	opt      Options
	peerName pair.MemberName
	make     *newData
	settings *settings
	tls      func() mysqlops.TLSFiles
	vol      *volume.Volume
	mysqld   *instance
	state    *board
}

// clone copies the donor into the running, empty mysqld, which ends for it.
func (c *cloning) clone(ctx context.Context, command agentapi.SeedCommand) error {
	ops := c.make.connect()
	defer ops.Disconnect()
	stop, err := c.make.runPrivately(ctx, c.vol.DataDir(), ops)
	if err != nil {
		return err
	}
	donor, err := c.donor(command)
	if err == nil {
		err = ops.CloneFrom(ctx, donor, copying(c.state, command.Donor))
	}
	return awaitCopied(c.mysqld, err, stop)
}

// copying publishes the progress of a copy of a donor.
func copying(state *board, donor pair.MemberName) func(mysqlops.CloneProgress) {
	var pace judge.CopyPace
	return func(p mysqlops.CloneProgress) {
		rate, remaining := pace.Saw(process.Now(), p)
		state.progress(&agentapi.SeedProgress{
			Donor:          donor,
			Stage:          p.Stage,
			Bytes:          p.Bytes,
			Estimated:      p.Total,
			BytesPerSecond: rate,
			Remaining:      remaining,
		})
	}
}

// awaitCopied waits for the end of the mysqld that a copy was made into, or ends it when the
// copy failed.
func awaitCopied(mysqld *instance, err error, stop func(clean bool) error) error {
	if err != nil {
		_ = stop(false)
		return err
	}
	proc := mysqld.process()
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

func (c *cloning) donor(command agentapi.SeedCommand) (mysqlops.Donor, error) {
	d := mysqlops.Donor{
		Host:     command.DonorHost,
		Port:     pair.PortAdmin,
		User:     mysqlops.UserClone,
		Password: c.settings.password(agentapi.PasswordFileClone),
		TLS:      c.tls(),
	}
	var err error
	if d.MaxBandwidth, err = bandwidth(c.settings.get().MaxBandwidth); err != nil {
		return d, err
	}
	if c.opt.PeerAdmin != "" {
		d.Host, d.Port, err = peerAdmin(c.opt, c.peerName, c.settings.get())
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
