package plugin

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func (s *session) restoreDrillCommand() *cobra.Command {
	var reason string
	var wait bool
	cmd := &cobra.Command{
		Use:     "drill PAIR",
		GroupID: "backups",
		Short:   "Restore the newest backup into a mysqld that nobody uses, and see whether it can be",
		Long: "Restore the newest backup into a mysqld that nobody uses, replay what was archived after it, and check every table.\n" +
			"A Job does it beside the pair, and touches no member. The condition Restorable says what was proved.\n" +
			"With --wait the exit status is 0 only if the backup could be restored.",
		Example: "  kubectl dbpair drill shop --wait",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			if err := c.hasDestination(cmd.Context(), args[0]); err != nil {
				return err
			}
			spec := v1alpha1.OperationSpec{Type: v1alpha1.OperationRestoreDrill, Reason: reason}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

// tellRestoreDrill says what an operation of type Drill proved.
func tellRestoreDrill(out *strings.Builder, d *v1alpha1.RestoreDrillResult) {
	if !d.Proven {
		return // the message says why
	}
	fmt.Fprintf(out, "Backup %s, %s of data, was restored in %s: copied in %s",
		d.Backup, mebibytes(d.Size), duration(d.RestoreTime), duration(d.CopyTime))
	if d.ReplayTime != nil {
		fmt.Fprintf(out, ", the archive replayed in %s", duration(d.ReplayTime))
	}
	fmt.Fprintf(out, "; %d tables checked in %s\nGTIDs of the backup: %s\n", d.Tables, duration(d.CheckTime), d.GTIDs)
	if d.Reached == "" {
		return
	}
	fmt.Fprintf(out, "GTIDs after the replay: %s\n", d.Reached)
	if d.Until != nil {
		fmt.Fprintf(out, "Complete up to: %s\n", d.Until.UTC().Format(time.RFC3339))
	}
}
