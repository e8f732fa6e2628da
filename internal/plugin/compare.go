package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// repairVerb is the typed confirmation of a repair; see verbs.
var repairVerb = verb{
	name: "repair",
	kind: v1alpha1.OperationRepair,
	loss: "A repair of table %[2]s of pair %[1]s takes the primary's rows for the right ones: " +
		"what the passive has instead is written over.\n" +
		"Both versions are saved in the quarantine on the passive's volume first.",
}

func (s *session) checksumCommand() *cobra.Command {
	var table, reason string
	var values, wait bool
	cmd := &cobra.Command{
		Use:     "checksum PAIR",
		GroupID: "tables",
		Short:   "Compare the members' tables",
		Long: "Compare the members' tables, all that spec.checksum names or one. It only reads; a Job does it beside the pair.\n" +
			"With --wait the exit status is 0 only if the members are equal.",
		Example: "  kubectl dbpair checksum shop --wait\n  kubectl dbpair checksum shop --table app.orders --values",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("table") {
				var err error
				if table, err = parseTable(table); err != nil {
					return err
				}
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			spec := v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum, Reason: reason}
			if table != "" || values {
				spec.Checksum = &v1alpha1.ChecksumParameters{Table: table, WithValues: values}
			}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "one table, <schema>.<table>, instead of all")
	cmd.Flags().BoolVar(&values, "values", false, "put the differing rows' values into the report; anyone who may read it then reads the data")
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

func (s *session) repairCommand() *cobra.Command {
	var w wish
	var dryRun, wait bool
	cmd := &cobra.Command{
		Use:     "repair PAIR --table SCHEMA.TABLE",
		GroupID: "tables",
		Short:   "Write the differing rows of one table again, from the primary, through replication",
		Long: "Write the differing rows of one table again, from the primary, through replication.\n\n" +
			fmt.Sprintf(repairVerb.loss, "PAIR", "TABLE") +
			"\n\nTables without a primary key, with triggers or cascading foreign keys are refused with the reason; " +
			"--dry-run says what would be done.",
		Example: "  kubectl dbpair repair shop --table app.orders --dry-run --wait\n" +
			"  kubectl dbpair repair shop --table app.orders --confirm shop/12 --wait",
		Args: onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if w.target, err = parseTable(w.target); err != nil {
				return err
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			spec := v1alpha1.OperationSpec{
				Type:   v1alpha1.OperationRepair,
				Reason: w.reason,
				Repair: &v1alpha1.RepairParameters{Table: w.target, DryRun: dryRun},
			}
			if !dryRun {
				p, err := c.pair(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := s.confirm(p, repairVerb, w); err != nil {
					return err
				}
				spec.Confirm = confirmation(p)
			}
			return s.start(cmd.Context(), c, args[0], spec, wait)
		},
	}
	cmd.Flags().StringVar(&w.target, "table", "", "the table, <schema>.<table>")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "compare, say what would be written or refused, and write nothing")
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the result")
	cmd.Flags().StringVar(&w.confirm, "confirm", "", "<pair>/<epoch>, for scripts: without it you are asked")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for anyone who reads the record")
	return cmd
}

// start makes the operation, and waits for its end if asked.
func (s *session) start(ctx context.Context, c cluster, name string, spec v1alpha1.OperationSpec, wait bool) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	spec.PairRef = v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)}
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fmt.Sprintf("%s-%s-", p.Name, strings.ToLower(string(spec.Type))), Namespace: p.Namespace},
		Spec:       spec,
	}
	if err := c.client.Create(ctx, op); err != nil {
		return fmt.Errorf("make the operation: %w", err)
	}
	if _, err := fmt.Fprintf(s.streams.Out, "databasepairoperation.dbpair.io/%s created\n", op.Name); err != nil {
		return err
	}
	if !wait {
		_, err := fmt.Fprintf(s.streams.Out, "Follow it with: kubectl get dbpo %s -n %s --watch\n", op.Name, op.Namespace)
		return err
	}
	return s.follow(ctx, c, op)
}
