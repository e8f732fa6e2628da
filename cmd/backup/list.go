package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
)

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "list",
		Short: "List the complete backups, oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				listing, err := backup.List(cmd.Context(), objects)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), listing.Manifests)
				}
				return printListing(cmd.OutOrStdout(), listing)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the manifests")
	return command
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func printListing(w io.Writer, listing backup.Listing) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFINISHED\tSIZE\tSTORED\tENCRYPTED\tPINNED\tPROVEN\tVERSION")
	for i, m := range listing.Manifests {
		known := listing.Backups[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			m.ID,
			m.Finished.UTC().Format(time.RFC3339),
			mebibytes(m.Raw),
			mebibytes(m.Stored),
			yes(m.Encrypted),
			yes(known.Pinned),
			proven(known.Proven),
			m.Server.Version)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, folder := range listing.Incomplete {
		fmt.Fprintf(w, "incomplete: %s, last object %s\n", folder.ID, folder.Newest.UTC().Format(time.RFC3339))
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMi", float64(n)/(1<<20)) }

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func proven(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}
