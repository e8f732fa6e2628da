package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/pair"
)

// UserAgents carry commands about users to the open member of a pair, and fill in their head.
// They block for at most some seconds, and return errNoPrimary while no member is known to be
// open.
type UserAgents interface {
	EnsureUser(ctx context.Context, p *v1alpha1.DatabasePair, c agentapi.EnsureUserCommand) (agentapi.UserReply, error)
	RemoveUser(ctx context.Context, p *v1alpha1.DatabasePair, c agentapi.RemoveUserCommand) (agentapi.UserReply, error)
}

// errNoPrimary: no member is known to accept writes.
var errNoPrimary = errors.New("no member accepts writes now")

// userTimeout bounds one request about a user.
const userTimeout = 10 * time.Second

// EnsureUser implements UserAgents.
func (r *PairReconciler) EnsureUser(
	ctx context.Context, p *v1alpha1.DatabasePair, c agentapi.EnsureUserCommand,
) (agentapi.UserReply, error) {
	ctx, cancel := context.WithTimeout(ctx, userTimeout)
	defer cancel()
	agent, head, err := r.openMember(ctx, p)
	if err != nil {
		return agentapi.UserReply{}, err
	}
	c.Command = head
	return agent.EnsureUser(ctx, c)
}

// RemoveUser implements UserAgents.
func (r *PairReconciler) RemoveUser(
	ctx context.Context, p *v1alpha1.DatabasePair, c agentapi.RemoveUserCommand,
) (agentapi.UserReply, error) {
	ctx, cancel := context.WithTimeout(ctx, userTimeout)
	defer cancel()
	agent, head, err := r.openMember(ctx, p)
	if err != nil {
		return agentapi.UserReply{}, err
	}
	c.Command = head
	return agent.RemoveUser(ctx, c)
}

// openMember finds the agent that says that its member is open. Whether it still is when a
// command arrives is for the agent to judge: a command is about one epoch.
func (r *PairReconciler) openMember(ctx context.Context, p *v1alpha1.DatabasePair) (*agentclient.Client, agentapi.Command, error) {
	name := client.ObjectKeyFromObject(p)
	for _, member := range pair.Members(p.Name) {
		pod := &corev1.Pod{}
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: name.Namespace, Name: string(member)}, pod)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, agentapi.Command{}, fmt.Errorf("read pod %s: %w", member, err)
		}
		uid := pair.PodUID(pod.UID)
		state := r.Agents.facts(name, member, uid).State
		if state == nil || state.OpenEpoch == 0 || pod.Status.PodIP == "" {
			continue
		}
		head := agentapi.Command{
			PairUID:       pair.UID(p.UID),
			Epoch:         state.OpenEpoch,
			LedgerVersion: state.ActedLedger,
			RequestID:     string(uuid.NewUUID()),
		}
		return r.Agents.client(agentKey{pair: name, pod: uid}, member, pod.Status.PodIP), head, nil
	}
	return nil, agentapi.Command{}, errNoPrimary
}
