package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/fencing"
)

// Deadlines of single requests. An agent that does not answer is looked at again; none
// of them may hold up the others for long.
const (
	fenceTimeout   = 5 * time.Second
	commandTimeout = 5 * time.Second
	compareTimeout = 10 * time.Second
)

// Agents speaks to the agents of one pair. It implements execute.Fencers, Copiers and
// Comparers.
type Agents struct {
	// Client of the agent in the pod with this UID; an error when that pod is not there.
	Client func(fencing.Subject) (*agentapi.Client, error)
}

var (
	_ execute.Fencers   = Agents{}
	_ execute.Copiers   = Agents{}
	_ execute.Comparers = Agents{}
)

// refused turns an agent's refusal into the conflict that it is: the agent knows more
// than this operator does.
func refused(err error) error {
	var r *agentapi.Refusal
	if errors.As(err, &r) && (r.Code == agentapi.ErrorStale || r.Code == agentapi.ErrorRefused) {
		return fmt.Errorf("%w: %w", execute.ErrConflict, err)
	}
	return err
}

func call[T any](ctx context.Context, a Agents, to fencing.Subject, d time.Duration, f func(context.Context, *agentapi.Client) (T, error)) (T, error) {
	var zero T
	c, err := a.Client(to)
	if err != nil {
		return zero, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	out, err := f(ctx, c)
	return out, refused(err)
}

// Cease implements execute.Fencers.
func (a Agents) Cease(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, func(ctx context.Context, cl *agentapi.Client) (agentapi.FenceReply, error) {
		return cl.Cease(ctx, c)
	})
}

// Fence implements execute.Fencers.
func (a Agents) Fence(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, func(ctx context.Context, cl *agentapi.Client) (agentapi.FenceReply, error) {
		return cl.Fence(ctx, c)
	})
}

// AckFence implements execute.Fencers.
func (a Agents) AckFence(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, func(ctx context.Context, cl *agentapi.Client) (agentapi.FenceReply, error) {
		return cl.AckFence(ctx, c)
	})
}

// Look implements execute.Fencers.
func (a Agents) Look(ctx context.Context, to fencing.Subject, c agentapi.Command) error {
	return a.done(ctx, to, func(ctx context.Context, cl *agentapi.Client) (agentapi.Done, error) { return cl.Look(ctx, c) })
}

// Initialise implements execute.Copiers.
func (a Agents) Initialise(ctx context.Context, to fencing.Subject, c agentapi.InitialiseCommand) error {
	return a.done(ctx, to, func(ctx context.Context, cl *agentapi.Client) (agentapi.Done, error) { return cl.Initialise(ctx, c) })
}

// Seed implements execute.Copiers.
func (a Agents) Seed(ctx context.Context, to fencing.Subject, c agentapi.SeedCommand) error {
	return a.done(ctx, to, func(ctx context.Context, cl *agentapi.Client) (agentapi.Done, error) { return cl.Seed(ctx, c) })
}

// Rewind implements execute.Copiers.
func (a Agents) Rewind(ctx context.Context, to fencing.Subject, c agentapi.RewindCommand) error {
	return a.done(ctx, to, func(ctx context.Context, cl *agentapi.Client) (agentapi.Done, error) { return cl.Rewind(ctx, c) })
}

func (a Agents) done(ctx context.Context, to fencing.Subject, f func(context.Context, *agentapi.Client) (agentapi.Done, error)) error {
	_, err := call(ctx, a, to, commandTimeout, f)
	return err
}

// Snapshot implements execute.Comparers.
func (a Agents) Snapshot(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.SnapshotReply, error) {
	return call(ctx, a, to, compareTimeout, func(ctx context.Context, cl *agentapi.Client) (agentapi.SnapshotReply, error) {
		return cl.Snapshot(ctx, c)
	})
}

// Covers implements execute.Comparers.
func (a Agents) Covers(ctx context.Context, to fencing.Subject, r agentapi.CoversRequest) (agentapi.CoversReply, error) {
	return call(ctx, a, to, compareTimeout, func(ctx context.Context, cl *agentapi.Client) (agentapi.CoversReply, error) {
		return cl.Covers(ctx, r)
	})
}
