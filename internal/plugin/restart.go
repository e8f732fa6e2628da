package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

const restartLong = `Recreate the pods of a pair, one after the other, as a rollout does.

The passive's pod is deleted first. Once it is back and in sync, the primary is switched over to it, and the former
primary's pod is recreated. With --member only that member's pod is: the primary's after a switchover. Whatever delays
a rollout delays this too; see the condition Ready.`

// restartFlags are what the caller of restart gave.
type restartFlags struct {
	member string
	wait   bool
}

func (s *session) restartCommand() *cobra.Command {
	var f restartFlags
	cmd := &cobra.Command{
		Use:     "restart PAIR",
		GroupID: "roles",
		Short:   "Recreate the members' pods, the passive's first",
		Long:    restartLong,
		Example: "  kubectl dbpair restart shop --wait\n  kubectl dbpair restart shop --member shop-1",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.restart(cmd.Context(), c, args[0], f)
		},
	}
	cmd.Flags().StringVar(&f.member, "member", "", "the only member whose pod is recreated; both when absent")
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "wait until the pods are recreated and the pair is ready")
	return cmd
}

// restart asks for the present pods to be made again. It asks for the same when it is called twice.
func (s *session) restart(ctx context.Context, c cluster, name string, f restartFlags) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	members, err := f.members(p)
	if err != nil {
		return err
	}
	return s.restartMembers(ctx, c, p, members, f.wait)
}

// restartMembers asks for the present pods of these members to be made again.
func (s *session) restartMembers(ctx context.Context, c cluster, p *v1alpha1.DatabasePair, members []string, wait bool) error {
	base := p.DeepCopy()
	asked := map[string]types.UID{}
	for _, member := range members {
		var pod corev1.Pod
		err := c.client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: member}, &pod)
		if apierrors.IsNotFound(err) {
			continue // it is being made right now
		}
		if err != nil {
			return fmt.Errorf("read pod %s: %w", member, err)
		}
		asked[member] = pod.UID
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationRestartPrefix+member, string(pod.UID))
	}
	if len(asked) == 0 {
		return fmt.Errorf("no pod of %s is there: nothing to restart", strings.Join(members, " and "))
	}
	if err := c.client.Patch(ctx, p, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("ask for a restart of pair %s: %w", p.Name, err)
	}
	if _, err := fmt.Fprintf(s.streams.Out, "A restart of %s is asked for.\n", strings.Join(members, " and ")); err != nil || !wait {
		return err
	}
	return s.followRestart(ctx, c, p, asked)
}

// members are those whose pods are made again.
func (f restartFlags) members(p *v1alpha1.DatabasePair) ([]string, error) {
	both := pair.Members(p.Name)
	if p.Spec.Paused {
		return nil, fmt.Errorf("pair %q is paused: the operator changes nothing until spec.paused is false", p.Name)
	}
	switch f.member {
	case "":
		return []string{string(both[0]), string(both[1])}, nil
	case string(both[0]), string(both[1]):
		return []string{f.member}, nil
	}
	return nil, fmt.Errorf("%q is no member of pair %q: its members are %s and %s", f.member, p.Name, both[0], both[1])
}

// followRestart shows what the pair says until other pods stand in the place of those, and it is ready.
func (s *session) followRestart(ctx context.Context, c cluster, p *v1alpha1.DatabasePair, asked map[string]types.UID) error {
	ticks := time.NewTicker(followEvery)
	defer ticks.Stop()
	said := ""
	for {
		err := c.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("pair %s was deleted", p.Name)
		}
		ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if err == nil && ready != nil {
			if made, err := c.madeAgain(ctx, p, asked); err == nil && made && ready.Status == metav1.ConditionTrue {
				_, err := fmt.Fprintln(s.streams.Out, ready.Message)
				return err
			}
			if now := ready.Reason + ": " + ready.Message; now != said && ready.Status != metav1.ConditionTrue {
				said = now
				if _, err := fmt.Fprintln(s.streams.Out, now); err != nil {
					return err
				}
			}
		}
		// Any other error may pass: the API server may be away for a while.
		select {
		case <-ctx.Done():
			return errors.New("not waited for any more; the restart goes on")
		case <-ticks.C:
		}
	}
}

// madeAgain: other pods stand in the place of those.
func (c cluster) madeAgain(ctx context.Context, p *v1alpha1.DatabasePair, asked map[string]types.UID) (bool, error) {
	for member, uid := range asked {
		var pod corev1.Pod
		if err := c.client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: member}, &pod); err != nil {
			return false, err
		}
		if pod.UID == uid {
			return false, nil
		}
	}
	return true, nil
}
