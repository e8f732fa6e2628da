package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

const reseedLong = `Replace the passive's data by a copy of the primary's, on the same volume. The primary goes on serving clients; nobody
can take over from it until the copy is in sync.

Transactions that the passive alone has are given up only after a confirmation, which shows them. The passive's binary
logs are moved to dbpair/quarantine on its volume first.

With --from backup the passive copies the newest backup in spec.backup.destination, which takes nothing from the primary, and
then replicates from the primary what followed. Before its data is given up the backup has to be served, and the primary has
to have the binary logs from there on; else the operation fails and says why. A copy of the backup that fails later is made of
the primary instead. Nothing can take over until it is in sync: from an old backup that takes longer than a copy.

With --new-volume the copy goes to a new volume, for one that is broken or whose node is gone for good: the passive's claim
and then its pod are deleted, after a confirmation, since all that the present volume holds may go with the claim. That
needs the right to delete both.`

// giveUpLoss says what is given up, with the pair, the member and what was found put in.
const giveUpLoss = "Copying %[2]s of pair %[1]s again gives up what it alone has: %[3]s.\n" +
	"That is lost to the pair; the binary logs that hold it stay in dbpair/quarantine on the volume of %[2]s\n" +
	"(kubectl dbpair quarantine %[1]s %[2]s)."

// reseedRequest is what the caller of reseed gave.
type reseedRequest struct {
	wish
	wait      bool
	newVolume bool
	from      string
}

func (s *session) reseedCommand() *cobra.Command {
	var w reseedRequest
	cmd := &cobra.Command{
		Use:     "reseed PAIR MEMBER",
		GroupID: "act",
		Short:   "Copy the passive from the primary, or a backup, again",
		Long:    reseedLong,
		Example: "  kubectl dbpair reseed shop shop-1 --wait\n  kubectl dbpair reseed shop shop-1 --confirm shop/12\n" +
			"  kubectl dbpair reseed shop shop-1 --from backup --wait\n  kubectl dbpair reseed shop shop-1 --new-volume",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name the pair and its passive, as in: kubectl dbpair reseed shop shop-1")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			w.pair = args[0]
			w.target = args[1]
			return s.reseed(cmd.Context(), c, w)
		},
	}
	cmd.Flags().BoolVar(&w.wait, "wait", false, "until the copy is in sync")
	cmd.Flags().BoolVar(&w.newVolume, "new-volume", false, "on a new volume: delete the passive's claim, then its pod")
	cmd.Flags().StringVar(&w.from, "from", fromPrimary, "what is copied: primary, or backup for the newest one of the pair")
	cmd.MarkFlagsMutuallyExclusive("wait", "new-volume")
	cmd.MarkFlagsMutuallyExclusive("from", "new-volume")
	cmd.Flags().StringVar(&w.confirm, "confirm", "", "<pair>/<epoch>, for scripts: gives up what the member alone has")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for the record")
	return cmd
}

// reseed makes the operation. Only what would give transactions up is asked about; the operator
// compares the members again before it begins.
func (s *session) reseed(ctx context.Context, c cluster, w reseedRequest) error {
	p, err := c.pair(ctx, w.pair)
	if err != nil {
		return err
	}
	passive, err := memberFor(p, shellWish{passive: true})
	if err != nil {
		return err
	}
	if w.target != passive {
		return fmt.Errorf("%q is not the passive of pair %q, %s is: only the passive is copied again", w.target, p.Name, passive)
	}
	if w.newVolume {
		return s.newVolume(ctx, c, p, w)
	}
	from, err := reseedSource(p, w.from)
	if err != nil {
		return err
	}
	only, err := c.onlyAt(ctx, passive)
	if err != nil {
		return err
	}
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: p.Name + "-reseed-", Namespace: p.Namespace},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)},
			Type:    v1alpha1.OperationReseed,
			Target:  w.target,
			From:    from,
			Reason:  w.reason,
			Confirm: confirmation(p),
		},
	}
	if only != "" || w.confirm != "" {
		asked := verb{name: "reseed", loss: fmt.Sprintf(giveUpLoss, p.Name, w.target, only)}
		if err := s.confirm(p, asked, w.wish); err != nil {
			return err
		}
		op.Spec.GiveUp = true
	}
	if err := c.client.Create(ctx, op); err != nil {
		return fmt.Errorf("make the operation: %w", err)
	}
	if _, err := fmt.Fprintf(s.streams.Out, "databasepairoperation.dbpair.io/%s created\n", op.Name); err != nil {
		return err
	}
	if w.wait {
		return s.follow(ctx, c, op)
	}
	_, err = fmt.Fprintf(s.streams.Out, "Follow it with: kubectl get dbpo %s -n %s --watch\n", op.Name, op.Namespace)
	return err
}

// What --from takes.
const (
	fromPrimary = "primary"
	fromBackup  = "backup"
)

// reseedSource is what the operation copies; empty for the primary.
func reseedSource(p *v1alpha1.DatabasePair, from string) (v1alpha1.ReseedSource, error) {
	switch from {
	case fromPrimary:
		return "", nil
	case fromBackup:
	default:
		return "", fmt.Errorf("--from must be %s or %s, not %q", fromPrimary, fromBackup, from)
	}
	spec := p.Spec.Backup
	if spec == nil {
		return "", fmt.Errorf("pair %s has no spec.backup, and so no backup to copy: leave --from out", p.Name)
	}
	if spec.Encryption != nil && spec.Encryption.IdentitySecretRef == nil {
		return "", fmt.Errorf("the backups of pair %s are encrypted: name the Secret of an identity of one of the recipients in "+
			"spec.backup.encryption.identitySecretRef", p.Name)
	}
	return v1alpha1.ReseedFromBackup, nil
}

// onlyAt says what the member has, or may have, that the primary lacks, by what its agent found;
// empty for nothing.
func (c cluster) onlyAt(ctx context.Context, member string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       member,
		argv:      []string{agentapi.BinDir + "/agent", "state"},
	})
	if err != nil {
		return "", fmt.Errorf("the agent of %s does not answer, so that it cannot copy: %w", member, err)
	}
	var state agentapi.State
	if err := json.Unmarshal(text, &state); err != nil {
		return "", fmt.Errorf("the answer of the agent of %s is no state: %w", member, err)
	}
	if found := state.Compared; found != nil && state.Phase == agentapi.PhaseClosed && found.Incarnation == state.Mysqld.Incarnation {
		errant, err := gtid.Parse(found.Errant)
		if err != nil || errant.IsEmpty() {
			return "", err
		}
		return fmt.Sprintf("%d transactions, %s", errant.Count(), errant), nil
	}
	return fmt.Sprintf("whatever it has written by itself, which is not known while it is %s", state.Phase), nil
}
