package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/backup"
)

// storeVariable holds the store's URL where the flag is not given.
const storeVariable = "DBPAIR_BACKUP_STORE"

// app is what the verbs share.
type app struct {
	location string
}

func newCommand() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:           "backup",
		Short:         "Backups of MySQL in an object store",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&a.location, "store", os.Getenv(storeVariable),
		"where the backups are: s3://BUCKET/PREFIX?region=R, gs://BUCKET/PREFIX, azblob://CONTAINER/PREFIX or file:///DIRECTORY; else "+
			storeVariable)
	root.AddCommand(
		a.takeCommand(),
		a.serveCommand(),
		a.archiveCommand(),
		a.listCommand(),
		a.verifyCommand(),
		a.expireCommand(),
		a.pinCommand(),
		a.unpinCommand(),
		a.proveCommand(),
		newRunCommand(),
		newVaultCommand(),
		newArchiverCommand(),
	)
	return root
}

// withStore opens the store for one verb.
func (a *app) withStore(ctx context.Context, use func(backup.Objects) error) error {
	if a.location == "" {
		return errors.New("--store is missing: name the URL of the store, or set " + storeVariable)
	}
	objects, err := blobstore.Open(ctx, a.location)
	if err != nil {
		return err
	}
	return errors.Join(use(objects), objects.Close())
}
