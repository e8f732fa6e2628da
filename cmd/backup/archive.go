package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archiver"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/cmd/backup/internal/recovery"
	"github.com/dbpair/dbpair/internal/backup"
)

type archiveOptions struct {
	archiver   archiver.Options
	server     serverOptions
	members    []string
	recipients []string
}

func (a *app) archiveCommand() *cobra.Command {
	options := archiveOptions{archiver: archiver.DefaultOptions()}
	command := &cobra.Command{
		Use:   "archive",
		Short: "Append the binary log of a pair's passive to the archive, until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
				return runArchiver(cmd, objects, options)
			})
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&options.members, "member", nil,
		"HOST:PORT of a member's admin port; give both members, and the passive is found")
	options.server.registerAccount(flags, "dbpair_archive")
	flags.StringArrayVar(&options.recipients, "recipient", nil,
		"age recipient that can decrypt the archive; may be repeated. Without any it is not encrypted")
	flags.DurationVar(&options.archiver.Flush, "flush-interval", options.archiver.Flush,
		"how long a transaction waits for others of its segment")
	flags.BoolVar(&options.archiver.Alone, "alone", false, "archive a server without a passive: the only member, while it is open for writes")
	flags.StringVar(&options.archiver.Pair, "pair-uid", "", "UID of the pair; an archive of another one is refused")
	command.AddCommand(
		a.archiveListCommand(),
		a.archiveCompactCommand(),
		a.archiveVerifyCommand(),
		a.archiveServeCommand(),
	)
	return command
}

// withArchive opens the store for one verb.
func (a *app) withArchive(ctx context.Context, use func(archive.Objects) error) error {
	if a.location == "" {
		return errors.New("--store is missing: name the URL of the store, or set " + storeVariable)
	}
	objects, err := blobstore.Open(ctx, a.location)
	if err != nil {
		return err
	}
	return errors.Join(use(objects), objects.Close())
}

func runArchiver(cmd *cobra.Command, objects archive.Objects, o archiveOptions) error {
	if len(o.members) == 0 || (o.archiver.Alone && len(o.members) != 1) {
		return errors.New("--member: name both members, or one with --alone")
	}
	if o.archiver.Flush <= 0 {
		return errors.New("--flush-interval has to be more than 0, for example 5s")
	}
	var err error
	if o.archiver.Recipients, err = parseRecipients(o.recipients); err != nil {
		return err
	}
	for _, address := range o.members {
		server := o.server
		server.address = address
		if _, err := server.donor(0); err != nil {
			return fmt.Errorf("--member %s: %w", address, err)
		}
		o.archiver.Members = append(o.archiver.Members, server.member())
	}
	o.archiver.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	ctx, cancel := context.WithCancel(cmd.Context())
	var compacting sync.WaitGroup
	compacting.Go(func() { compactHourly(ctx, objects, o.archiver.Log) })
	defer compacting.Wait()
	defer cancel()
	return archiver.Run(ctx, objects, o.archiver)
}

// member is the server for an archiver, which reads passwords and certificates for each connection.
func (o serverOptions) member() archiver.Member {
	return archiver.Member{
		Address:  o.address,
		User:     o.user,
		Password: func() (string, error) { return readPassword(o.passwordFile) },
		TLS: func() (*tls.Config, error) {
			donor, err := o.donor(0)
			if err != nil {
				return nil, err
			}
			return donor.tls, nil
		},
	}
}

// compactHourly compacts the archive until ctx ends. What fails is tried an hour later.
func compactHourly(ctx context.Context, objects archive.Objects, log *slog.Logger) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if packs, err := archive.Compact(ctx, objects, time.Now()); err != nil {
			log.Warn("the archive was not compacted; it is tried again in an hour", "error", err)
		} else {
			log.Info("the archive was compacted", "packs", packs)
		}
	}
}

func (a *app) archiveCompactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Put small segments into packs, as the archiver does every hour",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
				packs, err := archive.Compact(cmd.Context(), objects, time.Now())
				fmt.Fprintln(cmd.OutOrStdout(), packs, "packs were made")
				return err
			})
		},
	}
}

func (a *app) archiveListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show what the archive leads to, and its gaps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
				catalog, err := archive.Load(cmd.Context(), objects)
				if err != nil {
					return err
				}
				if err := printCatalog(cmd.OutOrStdout(), catalog); err != nil {
					return err
				}
				printWindows(cmd.Context(), cmd.OutOrStdout(), objects, catalog)
				return nil
			})
		},
	}
}

func printCatalog(w io.Writer, c archive.Catalog) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\tTO\tTRANSACTIONS\tSEGMENTS\tGTIDS")
	for _, run := range c.Runs {
		from, to, _ := run.Window()
		transactions := 0
		for _, s := range run.Segments {
			transactions += s.Header.Transactions
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", moment(from), moment(to), transactions, len(run.Segments), run.End().Subtract(run.Base))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d objects, %s\n", c.Objects, mebibytes(c.Size))
	for _, gap := range c.Gaps {
		fmt.Fprintln(w, "gap", gap)
	}
	return nil
}

// printWindows says which moments can be restored with the backups that are there.
func printWindows(ctx context.Context, w io.Writer, objects archive.Objects, c archive.Catalog) {
	listing, err := backup.List(ctx, objects)
	var windows []recovery.Window
	if err == nil {
		windows, err = recovery.Windows(c, listing.Manifests)
	}
	if err != nil {
		fmt.Fprintln(w, "what can be restored is not known:", err)
		return
	}
	for _, one := range windows {
		fmt.Fprintf(w, "can be restored: %s, from backup %s on\n", one, one.Backup)
	}
	if len(windows) == 0 {
		fmt.Fprintln(w, "no moment can be restored: that takes a backup that was taken after the archive began")
	}
}

func moment(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func (a *app) archiveVerifyCommand() *cobra.Command {
	var identityFile string
	command := &cobra.Command{
		Use:   "verify",
		Short: "Read every segment; name the damaged ones and the gaps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
				return verifyArchive(cmd, objects, identityFile)
			})
		},
	}
	registerIdentity(command.Flags(), &identityFile)
	return command
}

func registerIdentity(flags *pflag.FlagSet, file *string) {
	flags.StringVar(file, "identity", "", "file with the age identity of an encrypted archive")
}

func verifyArchive(cmd *cobra.Command, objects archive.Objects, identityFile string) error {
	identities, err := readIdentities(identityFile)
	if err != nil {
		return err
	}
	opened, err := archive.Open(cmd.Context(), objects, identities)
	if err != nil {
		return err
	}
	damages, transactions, err := opened.Verify(cmd.Context())
	for _, damage := range damages {
		fmt.Fprintln(cmd.OutOrStdout(), damage)
	}
	for _, gap := range opened.Catalog().Gaps {
		fmt.Fprintln(cmd.OutOrStdout(), "gap", gap)
	}
	if err != nil {
		return err
	}
	if bad := len(damages) + len(opened.Catalog().Gaps); bad > 0 {
		return fmt.Errorf("the archive has %d gaps and %d damaged segments", bad-len(damages), len(damages))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d transactions are there and as they were written\n", transactions)
	return nil
}
