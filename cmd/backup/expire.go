package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
)

type expireOptions struct {
	policy  backup.Policy
	confirm bool
	dryRun  bool
}

func (a *app) expireCommand() *cobra.Command {
	var options expireOptions
	command := &cobra.Command{
		Use:   "expire",
		Short: "Remove the backups that the retention policy no longer needs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				return expire(cmd, objects, options)
			})
		},
	}
	flags := command.Flags()
	flags.DurationVar(&options.policy.KeepFor, "keep-for", 7*24*time.Hour, "the window in which every restorable moment stays restorable")
	flags.IntVar(&options.policy.KeepLast, "keep-last", 2, "how many of the newest backups stay whatever their age")
	flags.BoolVar(&options.confirm, "confirm", false, "remove even more than half of the backups at once")
	flags.BoolVar(&options.dryRun, "dry-run", false, "print what would be removed")
	return command
}

func expire(cmd *cobra.Command, objects backup.Objects, options expireOptions) error {
	listing, err := backup.List(cmd.Context(), objects)
	if err != nil {
		return fmt.Errorf("nothing was removed: %w", err)
	}
	removal, err := backup.PlanRemoval(listing.Catalog, options.policy, time.Now(), options.confirm)
	printRemoval(cmd.OutOrStdout(), removal)
	if err != nil {
		return fmt.Errorf("nothing was removed: %w", err)
	}
	if options.dryRun {
		return nil
	}
	return backup.Remove(cmd.Context(), objects, removal)
}

func printRemoval(w io.Writer, removal backup.Removal) {
	for _, id := range removal.Backups {
		fmt.Fprintln(w, "backup", id)
	}
	for _, id := range removal.Incomplete {
		fmt.Fprintln(w, "incomplete", id)
	}
	for _, key := range removal.Segments {
		fmt.Fprintln(w, "segment", key)
	}
}
