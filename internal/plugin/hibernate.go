package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

const (
	hibernateLong = `End both members of a pair in order, and keep their volumes, Secrets and Services.

The primary is drained and closed, the passive applies everything, and both pods end. Nobody can use the pair until it is
woken (kubectl dbpair wake). A pair whose passive is not in sync goes on until it is. This sets spec.hibernate.`
	wakeLong = `Have the pods of a pair made again that hibernates. The member that was the primary is the primary.

This takes spec.hibernate away, also from a pair that does not hibernate yet.`
)

func (s *session) hibernateCommand() *cobra.Command {
	return s.hibernationCommand(&cobra.Command{
		Use:     "hibernate PAIR",
		Short:   "End both members in order and keep their volumes",
		Long:    hibernateLong,
		Example: "  kubectl dbpair hibernate shop --wait",
	}, true)
}

func (s *session) wakeCommand() *cobra.Command {
	return s.hibernationCommand(&cobra.Command{
		Use:     "wake PAIR",
		Short:   "Start both members of a pair that hibernates",
		Long:    wakeLong,
		Example: "  kubectl dbpair wake shop --wait",
	}, false)
}

func (s *session) hibernationCommand(cmd *cobra.Command, on bool) *cobra.Command {
	wait := false
	cmd.GroupID = "roles"
	cmd.Args = onePair
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := s.connect()
		if err != nil {
			return err
		}
		return s.setHibernate(cmd.Context(), c, args[0], on, wait)
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "show the progress and wait for the end")
	return cmd
}

// setHibernate writes spec.hibernate, which changes nothing when it is so already.
func (s *session) setHibernate(ctx context.Context, c cluster, name string, on, wait bool) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	if p.Spec.Paused {
		return fmt.Errorf("pair %q is paused: the operator changes nothing until spec.paused is false", p.Name)
	}
	base := p.DeepCopy()
	p.Spec.Hibernate = on
	if err := c.client.Patch(ctx, p, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("set spec.hibernate of pair %s: %w", p.Name, err)
	}
	if _, err := fmt.Fprintf(s.streams.Out, "spec.hibernate of pair %s is %t.\n", p.Name, on); err != nil || !wait {
		return err
	}
	return s.followHibernation(ctx, c, p, on)
}

// followHibernation shows what the pair says until it hibernates, or is ready again.
func (s *session) followHibernation(ctx context.Context, c cluster, p *v1alpha1.DatabasePair, on bool) error {
	ticks := time.NewTicker(followEvery)
	defer ticks.Stop()
	said := ""
	for {
		err := c.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("pair %s was deleted", p.Name)
		}
		if ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); err == nil && ready != nil {
			if reached(p, ready, on) {
				_, err := fmt.Fprintln(s.streams.Out, ready.Message)
				return err
			}
			if now := ready.Reason + ": " + ready.Message; now != said {
				said = now
				if _, err := fmt.Fprintln(s.streams.Out, now); err != nil {
					return err
				}
			}
		}
		// Any other error may pass: the API server may be away for a while.
		select {
		case <-ctx.Done():
			return errors.New("not waited for any more; it goes on")
		case <-ticks.C:
		}
	}
}

// reached: the condition is about the present spec, and says that it is carried out.
func reached(p *v1alpha1.DatabasePair, ready *metav1.Condition, on bool) bool {
	if ready.ObservedGeneration != p.Generation {
		return false
	}
	if !on {
		return ready.Status == metav1.ConditionTrue
	}
	return ready.Reason == string(failover.RuleHibernated)
}
