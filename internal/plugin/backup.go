package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func (s *session) backupCommand() *cobra.Command {
	var reason string
	var wait, pin bool
	cmd := &cobra.Command{
		Use:     "backup PAIR",
		GroupID: "backups",
		Short:   "Back the pair up now, to where its spec.backup says",
		Long: "Back the pair up now, to where its spec.backup says. A Job copies the passive's data beside the pair, without a lock.\n" +
			"With --wait the exit status is 0 only if there is a new backup.",
		Example: "  kubectl dbpair backup shop --wait\n  kubectl dbpair backup shop --pin --reason 'before the migration'",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			if err := c.hasDestination(cmd.Context(), args[0]); err != nil {
				return err
			}
			spec := v1alpha1.OperationSpec{Type: v1alpha1.OperationBackup, Reason: reason}
			if pin {
				spec.Backup = &v1alpha1.BackupParameters{Pin: true}
			}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().BoolVar(&pin, "pin", false, "keep the new backup whatever the retention says, until it is unpinned")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

// hasDestination is an error when the pair is not there, or says nowhere where its backups go.
func (c cluster) hasDestination(ctx context.Context, name string) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	if p.Spec.Backup == nil {
		return fmt.Errorf("pair %s has no spec.backup: say there where its backups go (docs/backup.md)", p.Name)
	}
	return nil
}

func (s *session) expireCommand() *cobra.Command {
	var reason string
	var wait, force bool
	cmd := &cobra.Command{
		Use:     "expire PAIR [ID]",
		GroupID: "backups",
		Short:   "Remove one backup from the store, or those that spec.backup.retention no longer needs",
		Long: "Remove one backup from the store, or without an ID those that spec.backup.retention no longer needs, and list what is there\n" +
			"then. A backup that is pinned, the only complete one, or the last one that was proven is removed with --force only. What\n" +
			"is removed cannot be restored any more.",
		Example: "  kubectl dbpair expire shop\n  kubectl dbpair expire shop 20260102T030405Z-0a1b2c3d --wait",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			spec := v1alpha1.OperationSpec{Type: v1alpha1.OperationExpire, Reason: reason}
			if len(args) > 1 {
				spec.Expire = &v1alpha1.ExpireParameters{
					BackupID: args[1],
					Force:    force,
				}
			} else if force {
				return errors.New("--force needs the ID of a backup: kubectl dbpair backups " + args[0] + " prints them")
			}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().BoolVar(&force, "force", false, "remove the backup also when it is pinned, the only one, or the last proven one")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

func (s *session) backupsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backups PAIR",
		GroupID: "backups",
		Short:   "List the pair's backups, as the last Job found them in the store",
		Long: "List the pair's backups, as the last Job that reached the store found them there, the newest first: the\n" +
			"DatabasePairBackups of the pair (kubectl get dbpb). The program backup lists what is there now.",
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
			stored, err := c.storedBackups(cmd.Context(), p)
			if err != nil {
				return err
			}
			return writeBackups(s.streams.Out, p, stored)
		},
	}
}

// storedBackups are the objects of the pair's backups, the newest first; none in a cluster that does not know them.
func (c cluster) storedBackups(ctx context.Context, p *v1alpha1.DatabasePair) ([]v1alpha1.DatabasePairBackup, error) {
	var list v1alpha1.DatabasePairBackupList
	err := c.client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelBackupOf: p.Name})
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the DatabasePairBackups of %s/%s: %w", p.Namespace, p.Name, err)
	}
	out := slices.DeleteFunc(list.Items, func(b v1alpha1.DatabasePairBackup) bool { return b.Spec.PairRef.UID != string(p.UID) })
	slices.SortFunc(out, func(a, b v1alpha1.DatabasePairBackup) int { return strings.Compare(b.Spec.BackupID, a.Spec.BackupID) })
	return out, nil
}

// writeBackups writes the table, and around it what a reader has to know to believe it.
func writeBackups(w io.Writer, p *v1alpha1.DatabasePair, stored []v1alpha1.DatabasePairBackup) error {
	status := p.Status.Backup
	out := &strings.Builder{}
	switch {
	case shown(status, stored):
		objectTable(out, stored)
		if status != nil && status.Last != nil {
			retentionNote(out, status.Last)
		}
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

// shown: the objects are there, and not older than what the pair's status has of its last backup.
func shown(status *v1alpha1.BackupStatus, stored []v1alpha1.DatabasePairBackup) bool {
	if len(stored) == 0 {
		return false
	}
	return status == nil || status.Last == nil || stored[0].Spec.BackupID >= status.Last.ID
}

func objectTable(out *strings.Builder, stored []v1alpha1.DatabasePairBackup) {
	fmt.Fprintln(out, stored[0].Status.Location)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFINISHED\tSIZE\tSTORED\tFROM\tENCRYPTED\tPINNED\tVERIFIED\tPROVEN")
	for i := range stored {
		b := &stored[i].Status
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stored[i].Spec.BackupID, timeOr(b.CompletionTime, "unknown"),
			quantityOf(b.Size), quantityOf(b.StoredSize), cmp.Or(b.From, "unknown"), yesNo(b.Encrypted), yesNo(b.Pinned),
			cmp.Or(b.Verified, v1alpha1.BackupUnverified), timeOr(b.ProvenTime, "never"))
	}
	_ = table.Flush() // a strings.Builder takes everything
}

func timeOr(at *metav1.Time, none string) string {
	if at == nil {
		return none
	}
	return at.UTC().Format(time.RFC3339)
}

func quantityOf(q *resource.Quantity) string {
	if q == nil {
		return "unknown"
	}
	return q.String()
}

func backupTable(out *strings.Builder, status *v1alpha1.BackupStatus) {
	last := status.Last
	if status.LastSuccessTime != nil {
		fmt.Fprintf(out, "%s, as of %s\n", last.Location, status.LastSuccessTime.UTC().Format(time.RFC3339))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFINISHED\tSIZE\tSTORED\tENCRYPTED\tPINNED\tPROVEN")
	for _, one := range last.Stored {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, one.Finished.UTC().Format(time.RFC3339),
			mebibytes(one.Size), mebibytes(one.StoredSize), yesNo(one.Encrypted), yesNo(one.Pinned), timeOr(one.Proven, "never"))
	}
	_ = table.Flush() // a strings.Builder takes everything
	if more := last.StoredTotal - int64(len(last.Stored)); more > 0 {
		fmt.Fprintf(out, "and %d older ones\n", more)
	}
	retentionNote(out, last)
}

func retentionNote(out *strings.Builder, last *v1alpha1.BackupResult) {
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
