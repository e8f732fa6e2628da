package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

const upgradeAgentLong = `Make the pods again whose agent is older than the operator's, one after the other, as a rollout does.

A newer operator brings a newer agent. A member gets it when its pod is made again: for another reason, by this, or by
itself with spec.agent.update: Automatic. Pods that have it already are left alone.`

func (s *session) upgradeAgentCommand() *cobra.Command {
	wait := false
	cmd := &cobra.Command{
		Use:     "upgrade-agent PAIR",
		GroupID: "roles",
		Short:   "Give both members the operator's agent, the passive first",
		Long:    upgradeAgentLong,
		Example: "  kubectl dbpair upgrade-agent shop --wait",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.upgradeAgent(cmd.Context(), c, args[0], wait)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait until the pods were made again and the pair is ready")
	return cmd
}

// upgradeAgent asks for the pods to be made again that have another agent than the next ones would.
func (s *session) upgradeAgent(ctx context.Context, c cluster, name string, wait bool) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	all, err := restartFlags{}.members(p)
	if err != nil {
		return err
	}
	former, err := c.formerAgents(ctx, p, all)
	if err != nil {
		return err
	}
	if len(former) == 0 {
		_, err := fmt.Fprintf(s.streams.Out, "The members of pair %s have the operator's agent.\n", p.Name)
		return err
	}
	return s.restartMembers(ctx, c, p, former, wait)
}

// formerAgents are the members whose pod has another agent than the StatefulSet would give it now.
func (c cluster) formerAgents(ctx context.Context, p *v1alpha1.DatabasePair, members []string) ([]string, error) {
	var set appsv1.StatefulSet
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(p), &set); err != nil {
		return nil, fmt.Errorf("read StatefulSet %s: %w", p.Name, err)
	}
	want := agentImage(set.Spec.Template.Spec)
	var former []string
	for _, member := range members {
		var pod corev1.Pod
		err := c.client.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: member}, &pod)
		if apierrors.IsNotFound(err) {
			continue // the next one has it
		}
		if err != nil {
			return nil, fmt.Errorf("read pod %s: %w", member, err)
		}
		if agentImage(pod.Spec) != want {
			former = append(former, member)
		}
	}
	return former, nil
}

// agentImage is the image that a pod's agent comes from.
func agentImage(spec corev1.PodSpec) string {
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == resources.ContainerInstall {
			return spec.InitContainers[i].Image
		}
	}
	return ""
}
