package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify ID",
		Short: "Read every object of a backup and compare its sha256",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				damaged, err := backup.Verify(cmd.Context(), objects, args[0])
				if err != nil {
					return err
				}
				for _, d := range damaged {
					fmt.Fprintln(cmd.OutOrStdout(), d)
				}
				if len(damaged) > 0 {
					return fmt.Errorf("backup %s: %d objects are damaged or missing: use another backup", args[0], len(damaged))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "backup %s: every object is as it was written\n", args[0])
				return nil
			})
		},
	}
}
