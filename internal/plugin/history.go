package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func (s *session) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "history PAIR",
		GroupID: "look",
		Short:   "List what was done to a pair: trigger, duration, write gap and result",
		Example: "  kubectl dbpair history shop",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.history(cmd.Context(), c, args[0])
		},
	}
}

func (s *session) history(ctx context.Context, c cluster, name string) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	all, err := c.operations(ctx, p)
	if err != nil {
		return err
	}
	var out strings.Builder
	if len(all) == 0 {
		fmt.Fprintf(&out, "Nothing is on record for pair %s.\n", p.Name)
	} else {
		table(&out, historyRows(all))
	}
	_, err = io.WriteString(s.streams.Out, out.String())
	return err
}

func historyRows(all []v1alpha1.DatabasePairOperation) [][]string {
	rows := [][]string{{"OPERATION", "TYPE", "TRIGGER", "FROM", "TO", "STARTED", "DURATION", "WRITE GAP", "RESULT", "MESSAGE"}}
	for i := range all {
		op := &all[i]
		st := &op.Status
		started := "-"
		took := "-"
		if st.StartTime != nil {
			started = st.StartTime.UTC().Format(time.RFC3339)
			if st.CompletionTime != nil {
				took = st.CompletionTime.Sub(st.StartTime.Time).Round(time.Millisecond).String()
			}
		}
		phase := st.Phase
		if phase == "" {
			phase = v1alpha1.OperationPending
		}
		rows = append(rows, []string{
			op.Name,
			string(op.Spec.Type),
			dash(st.Rule),
			dash(st.From),
			dash(st.To),
			started,
			took,
			duration(st.WriteGap),
			string(phase),
			dash(st.Message),
		})
	}
	return rows
}

// operations are those of this very pair, oldest first.
func (c cluster) operations(ctx context.Context, p *v1alpha1.DatabasePair) ([]v1alpha1.DatabasePairOperation, error) {
	var list v1alpha1.DatabasePairOperationList
	if err := c.client.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return nil, fmt.Errorf("list the operations of pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	ours := slices.DeleteFunc(list.Items, func(op v1alpha1.DatabasePairOperation) bool {
		ref := op.Spec.PairRef
		return ref.Name != p.Name || (ref.UID != "" && ref.UID != string(p.UID))
	})
	slices.SortFunc(ours, func(a, b v1alpha1.DatabasePairOperation) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return ours, nil
}
