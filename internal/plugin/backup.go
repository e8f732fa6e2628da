package plugin

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func (s *session) backupCommand() *cobra.Command {
	var reason string
	var wait bool
	cmd := &cobra.Command{
		Use:     "backup PAIR",
		GroupID: "backups",
		Short:   "Back the pair up now, to where its spec.backup says",
		Long: "Back the pair up now, to where its spec.backup says. A Job copies the passive's data beside the pair, without a lock.\n" +
			"With --wait the exit status is 0 only if there is a new backup.",
		Example: "  kubectl dbpair backup shop --wait",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			p, err := c.pair(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.Spec.Backup == nil {
				return fmt.Errorf("pair %s has no spec.backup: say there where its backups go (docs/backup.md)", p.Name)
			}
			spec := v1alpha1.OperationSpec{Type: v1alpha1.OperationBackup, Reason: reason}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

func (s *session) backupsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backups PAIR",
		GroupID: "backups",
		Short:   "List the pair's backups, as its last backup found them in the store",
		Long: "List the pair's backups, as its last backup found them in the store, the newest first. The store is not read\n" +
			"between two backups; the program backup lists what is there now.",
		Example: "  kubectl dbpair backups shop",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			p, err := c.pair(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return writeBackups(s.streams.Out, p)
		},
	}
}

// writeBackups writes the table, and around it what a reader has to know to believe it.
func writeBackups(w io.Writer, p *v1alpha1.DatabasePair) error {
	status := p.Status.Backup
	out := &strings.Builder{}
	switch {
	case status == nil && p.Spec.Backup == nil:
		fmt.Fprintf(out, "Pair %s has no spec.backup and no backups (docs/backup.md).\n", p.Name)
	case status == nil || status.Last == nil:
		fmt.Fprintf(out, "Pair %s has no backup yet. Make one with: kubectl dbpair backup %s -n %s\n", p.Name, p.Name, p.Namespace)
	default:
		backupTable(out, status)
	}
	if status != nil && status.LastFailure != "" {
		fmt.Fprintf(out, "The last attempt, %s, made none: %s\n", status.LastOperation, status.LastFailure)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func backupTable(out *strings.Builder, status *v1alpha1.BackupStatus) {
	last := status.Last
	if status.LastSuccessTime != nil {
		fmt.Fprintf(out, "%s, as of %s\n", last.Location, status.LastSuccessTime.UTC().Format(time.RFC3339))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFINISHED\tSIZE\tSTORED\tENCRYPTED\tPINNED\tPROVEN")
	for _, one := range last.Stored {
		proven := "never"
		if one.Proven != nil {
			proven = one.Proven.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, one.Finished.UTC().Format(time.RFC3339),
			mebibytes(one.Size), mebibytes(one.StoredSize), yesNo(one.Encrypted), yesNo(one.Pinned), proven)
	}
	_ = table.Flush() // a strings.Builder takes everything
	if more := last.StoredTotal - int64(len(last.Stored)); more > 0 {
		fmt.Fprintf(out, "and %d older ones\n", more)
	}
	if last.RetentionProblem != "" {
		fmt.Fprintf(out, "Old backups were not removed: %s\n", last.RetentionProblem)
	}
}

// tellBackup says what an operation of type Backup made.
func tellBackup(out *strings.Builder, r *v1alpha1.OperationResult) {
	b := r.Backup
	verified := "not read back"
	if b.Verified {
		verified = "every object was read back and is as it was written"
	}
	fmt.Fprintf(out, "%s of data from %s, %s stored in %d objects, %s; %s\n",
		mebibytes(b.Size), b.From, mebibytes(b.StoredSize), b.Objects, duration(r.Duration), verified)
	fmt.Fprintf(out, "Location: %s\nGTIDs: %s\nDigest of the manifest: sha256:%s\n", b.Location, b.GTIDs, b.Digest)
	if len(b.Removed) > 0 {
		fmt.Fprintf(out, "Removed by spec.backup.retention: %s\n", strings.Join(b.Removed, ", "))
	}
	if b.RetentionProblem != "" {
		fmt.Fprintf(out, "Old backups were not removed: %s\n", b.RetentionProblem)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMi", float64(n)/(1<<20)) }

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
