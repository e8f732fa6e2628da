package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// verb is one way to resolve a doubt.
type verb struct {
	name string
	kind v1alpha1.OperationType
	// targeted verbs are about one member.
	targeted bool
	short    string
	// loss says what may be lost, with the pair and the member put in.
	loss string
}

var verbs = []verb{
	{"failover", v1alpha1.OperationFailover, false,
		"Make the other member the primary, with the proofs that an automatic failover needs",
		"A failover of pair %[1]s ends the sessions of its clients and kills the present primary's mysqld. No acknowledged write is lost in\n" +
			"durability.mode Lossless; in Async, what the passive has not received is lost."},
	{"adopt", v1alpha1.OperationAdopt, true,
		"Make one member the authoritative one after the authority was lost or rolled back",
		"Adopting %[2]s makes its data the truth of pair %[1]s. Writes that only the other member has are no longer part of it:\n" +
			"they stay on that member's volume and are held back, not merged."},
	{"fence", v1alpha1.OperationFence, false,
		"Close the primary and keep it closed until `release`",
		"Fencing pair %[1]s closes its primary. Nobody accepts writes until `kubectl dbpair release %[1]s`. No data is lost."},
	{"confirm-dead", v1alpha1.OperationConfirmDead, true,
		"Say that a member cannot run any more, when no proof is to be had",
		"You say that the mysqld of %[2]s has stopped and cannot come back by itself: machine off, or its pod and volume gone.\n" +
			"If it still runs and clients still reach it, the writes they make there are lost once the other member is promoted."},
	{"force-promote", v1alpha1.OperationForcePromote, true,
		"Promote a member that may lack acknowledged writes",
		"Promoting %[2]s by force makes it the primary of pair %[1]s although it may lack writes that clients were told are safe.\n" +
			"What it lacks is lost, unless the other member's volume is kept and read by hand.\n" +
			"A pair that never opened (epoch 0) begins on %[2]s, whose volume must be empty."},
	{"release", v1alpha1.OperationRelease, false,
		"End a fence",
		"Releasing pair %[1]s lets the operator appoint a primary again. No data is lost."},
}

// wish is what the caller of a verb gave.
type wish struct {
	pair, target, reason, confirm string
	// discard allows a forced promotion to give up what the member cannot apply.
	discard bool
}

func (s *session) verbCommand(v verb) *cobra.Command {
	var w wish
	use := v.name + " PAIR"
	example := "  kubectl dbpair " + v.name + " shop"
	if v.targeted {
		use = v.name + " PAIR MEMBER"
		example = "  kubectl dbpair " + v.name + " shop shop-1"
	}
	cmd := &cobra.Command{
		Use:     use,
		GroupID: "act",
		Short:   v.short,
		Long:    v.short + ".\n\n" + fmt.Sprintf(v.loss+"%[3]s", "PAIR", "MEMBER", ""),
		Example: example + "\n" + example + " --confirm shop/12 --reason 'node n3 is switched off'",
		Args: func(_ *cobra.Command, args []string) error {
			if v.targeted && len(args) != 2 {
				return fmt.Errorf("name the pair and the member, as in: kubectl dbpair %s shop shop-1", v.name)
			}
			if !v.targeted && len(args) != 1 {
				return fmt.Errorf("name one pair, as in: kubectl dbpair %s shop", v.name)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			w.pair = args[0]
			if v.targeted {
				w.target = args[1]
			}
			return s.act(cmd.Context(), c, v, w)
		},
	}
	cmd.Flags().StringVar(&w.confirm, "confirm", "", "<pair>/<epoch>, for scripts: without it you are asked")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for anyone who reads the record")
	if v.kind == v1alpha1.OperationForcePromote {
		cmd.Flags().BoolVar(&w.discard, strings.TrimPrefix(failover.FlagDiscardUnapplied, "--"), false,
			"discard what the member has received and cannot apply, which is lost; its relay log is saved on its volume before")
	}
	return cmd
}

// act makes the operation once it is confirmed. The operation is bound to the epoch that
// was shown: should the pair move on meanwhile, it does nothing.
func (s *session) act(ctx context.Context, c cluster, v verb, w wish) error {
	p, err := c.pair(ctx, w.pair)
	if err != nil {
		return err
	}
	if members := pair.Members(p.Name); v.targeted && w.target != string(members[0]) && w.target != string(members[1]) {
		return fmt.Errorf("%q is no member of pair %q: its members are %s and %s", w.target, p.Name, members[0], members[1])
	}
	if w.discard {
		if err := s.showUnapplied(ctx, c, w.target); err != nil {
			return err
		}
	}
	if err := s.confirm(p, v, w); err != nil {
		return err
	}
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fmt.Sprintf("%s-%s-", p.Name, v.name), Namespace: p.Namespace},
		Spec: v1alpha1.OperationSpec{
			PairRef:          v1alpha1.PairReference{Name: p.Name, UID: string(p.UID)},
			Type:             v.kind,
			Target:           w.target,
			Reason:           w.reason,
			Confirm:          confirmation(p),
			DiscardUnapplied: w.discard,
		},
	}
	if err := c.client.Create(ctx, op); err != nil {
		return fmt.Errorf("make the operation: %w", err)
	}
	_, err = fmt.Fprintf(s.streams.Out, "databasepairoperation.dbpair.io/%s created\nFollow it with: kubectl get dbpo %s -n %s --watch\n",
		op.Name, op.Name, op.Namespace)
	return err
}

// confirm says what may be lost and wants "<pair>/<epoch>" typed, or given by --confirm.
func (s *session) confirm(p *v1alpha1.DatabasePair, v verb, w wish) error {
	want := confirmation(p)
	if w.confirm != "" {
		if w.confirm != want {
			return fmt.Errorf("--confirm %s does not fit: the pair is at %s now; look again with `kubectl dbpair status %s`",
				w.confirm, want, p.Name)
		}
		return nil
	}
	_, err := fmt.Fprintf(s.streams.ErrOut, v.loss+"%[3]s\n\nType %[4]s to go on: ", p.Name, w.target, "", want)
	if err != nil {
		return err
	}
	typed, err := bufio.NewReader(s.streams.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the confirmation: %w", err)
	}
	if got := strings.TrimSpace(typed); got != want {
		return fmt.Errorf("not confirmed: %q is not %q; nothing was done (scripts use --confirm)", got, want)
	}
	return nil
}
