package agent

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// backupSeeds make the data of a passive of a backup of the pair, in the directory in which new data is
// made. The copy replicates from the primary before it is used, while nobody reaches it: the passwords in it
// are those of the day of the backup, and each change of them since then is replayed. In the end the data is
// what a copy of the primary would have been.
type backupSeeds struct {
	copies   *donorCopies
	settings *settings
	tls      func() mysqlops.TLSFiles
	// source is the primary's admin port, and has what it has executed.
	source   func() (host string, port int, err error)
	has      func(ctx context.Context) (gtid.Set, error)
	failures *failpoints
}

// contents implements backupCopier.
func (b *backupSeeds) contents(ctx context.Context, c agentapi.SeedCommand) error {
	if err := b.copies.copy(ctx, *c.Backup); err != nil {
		return fmt.Errorf("copy of the backup at %s: %w", c.Backup.Address(), err)
	}
	b.failures.at(failAfterClone)
	target, err := b.has(ctx)
	if err != nil {
		return fmt.Errorf("how far the copy of the backup has to replicate: %w", err)
	}
	host, port, err := b.source()
	if err != nil {
		return err
	}
	primary := mysqlops.Source{
		Host:     host,
		Port:     port,
		User:     mysqlops.UserReplication,
		Password: b.settings.password(agentapi.PasswordFileReplication),
		TLS:      b.tls(),
	}
	err = b.copies.accounts.catchUp(ctx, primary, target, func(r mysqlops.Replay) {
		b.copies.state.progress(&agentapi.SeedProgress{Donor: c.Donor, Stage: replayStage(r)})
	})
	if err != nil {
		return fmt.Errorf("the copy of the backup did not catch up with %s: %w", c.Donor, err)
	}
	b.failures.at(failAfterReplay)
	return nil
}
