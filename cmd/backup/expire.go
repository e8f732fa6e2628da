package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
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
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
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

func expire(cmd *cobra.Command, objects archive.Objects, options expireOptions) error {
	listing, err := backup.List(cmd.Context(), objects)
	if err != nil {
		return fmt.Errorf("nothing was removed: %w", err)
	}
	now := time.Now()
	removal, err := backup.PlanRemoval(listing.Catalog, options.policy, now, options.confirm)
	if err == nil {
		removal.Segments, err = unneededSegments(cmd.Context(), objects, listing, options.policy, now)
	}
	printRemoval(cmd.OutOrStdout(), removal)
	if err != nil {
		return fmt.Errorf("nothing was removed: %w", err)
	}
	if options.dryRun {
		return nil
	}
	return backup.Remove(cmd.Context(), objects, removal)
}

// unneededSegments are the keys of what the archive of binary logs has from before every backup
// that the policy needs. A pinned backup that it does not need keeps its own data only.
func unneededSegments(
	ctx context.Context, objects archive.Objects, listing backup.Listing, policy backup.Policy, now time.Time,
) ([]string, error) {
	catalog, err := archive.Load(ctx, objects)
	if err != nil {
		return nil, fmt.Errorf("archive of binary logs: %w", err)
	}
	loose := listing.Catalog
	loose.Backups = slices.Clone(loose.Backups)
	for i := range loose.Backups {
		loose.Backups[i].Pinned = false
	}
	removal, err := backup.PlanRemoval(loose, policy, now, true)
	if err != nil {
		return nil, err
	}
	bases, err := archive.Needed(listing, removal)
	if err != nil {
		return nil, err
	}
	return archive.Unneeded(catalog, bases), nil
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
