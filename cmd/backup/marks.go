package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
)

func (a *app) pinCommand() *cobra.Command {
	return a.markCommand("pin ID", "Keep a backup until it is unpinned",
		func(cmd *cobra.Command, objects backup.Objects, id string) error {
			return backup.Pin(cmd.Context(), objects, id)
		})
}

func (a *app) unpinCommand() *cobra.Command {
	return a.markCommand("unpin ID", "Leave a pinned backup to the retention policy",
		func(cmd *cobra.Command, objects backup.Objects, id string) error {
			return backup.Unpin(cmd.Context(), objects, id)
		})
}

func (a *app) proveCommand() *cobra.Command {
	return a.markCommand("prove ID", "Record that you restored a backup and found its data right; the last one is never expired",
		func(cmd *cobra.Command, objects backup.Objects, id string) error {
			return backup.MarkProven(cmd.Context(), objects, id, time.Now())
		})
}

// markCommand is a verb that changes what is known of one backup.
func (a *app) markCommand(use, short string, mark func(*cobra.Command, backup.Objects, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				return mark(cmd, objects, args[0])
			})
		},
	}
}
