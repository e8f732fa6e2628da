package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/fencing"
)

// Deadlines of single requests. An agent that does not answer is looked at again; none
// of them may hold up the others for long.
const (
	fenceTimeout   = 5 * time.Second
	commandTimeout = 5 * time.Second
	compareTimeout = 10 * time.Second
	// silentTimeout is how long an agent may take that does not answer the operator's watch
	// either. It is asked again at each observation, and one that is asked holds up a worker
	// that other pairs wait for.
	silentTimeout = time.Second
)

// Agents speaks to the agents of one pair. It implements execute.Fencers, Doors,
// Copiers and Comparers.
type Agents struct {
	// Client of the agent in the pod with this UID; an error when that pod is not there.
	Client func(fencing.Subject) (*agentclient.Client, error)
	// Silent reports whether the agent does not answer the watch; optional.
	Silent func(fencing.Subject) bool
	// Beginning adds to the command what the first member is to copy or load, if anything. An error
	// that wraps execute.ErrConflict says what is missing. Optional.
	Beginning func(context.Context, *agentapi.InitializeCommand) error
}

var (
	_ execute.Fencers   = Agents{}
	_ execute.Doors     = Agents{}
	_ execute.Drainers  = Agents{}
	_ execute.Copiers   = Agents{}
	_ execute.Comparers = Agents{}
)

// refused turns an agent's refusal into the conflict that it is: the agent knows more
// than this operator does.
func refused(err error) error {
	var r *agentclient.Refusal
	if errors.As(err, &r) && (r.Code == agentapi.ErrorStale || r.Code == agentapi.ErrorRefused) {
		return fmt.Errorf("%w: %w", execute.ErrConflict, err)
	}
	return err
}

// call sends one request, a method of the client, to the agent of a member.
func call[Request, Reply any](
	ctx context.Context, a Agents, to fencing.Subject, d time.Duration,
	method func(*agentclient.Client, context.Context, Request) (Reply, error), r Request,
) (Reply, error) {
	var zero Reply
	c, err := a.Client(to)
	if err != nil {
		return zero, err
	}
	if a.Silent != nil && a.Silent(to) {
		d = min(d, silentTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	out, err := method(c, ctx, r)
	return out, refused(err)
}

// Cease implements execute.Fencers.
func (a Agents) Cease(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, (*agentclient.Client).Cease, c)
}

// Fence implements execute.Fencers.
func (a Agents) Fence(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, (*agentclient.Client).Fence, c)
}

// AckFence implements execute.Fencers.
func (a Agents) AckFence(ctx context.Context, to fencing.Subject, c agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	return call(ctx, a, to, fenceTimeout, (*agentclient.Client).AckFence, c)
}

// Drain implements execute.Drainers.
func (a Agents) Drain(ctx context.Context, to fencing.Subject, c agentapi.DrainCommand) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Drain, c)
	return err
}

// ReadLease implements execute.Fencers.
func (a Agents) ReadLease(ctx context.Context, to fencing.Subject, c agentapi.Command) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).ReadLease, c)
	return err
}

// Hold implements execute.Doors.
func (a Agents) Hold(ctx context.Context, to fencing.Subject, c agentapi.HoldCommand) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Hold, c)
	return err
}

// ReleaseHeld implements execute.Doors.
func (a Agents) ReleaseHeld(ctx context.Context, to fencing.Subject, c agentapi.Command) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).ReleaseHeld, c)
	return err
}

// Initialize implements execute.Copiers.
func (a Agents) Initialize(ctx context.Context, to fencing.Subject, c agentapi.InitializeCommand) error {
	if a.Beginning != nil {
		if err := a.Beginning(ctx, &c); err != nil {
			return err
		}
	}
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Initialize, c)
	return err
}

// Seed implements execute.Copiers.
func (a Agents) Seed(ctx context.Context, to fencing.Subject, c agentapi.SeedCommand) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Seed, c)
	return err
}

// Rewind implements execute.Copiers.
func (a Agents) Rewind(ctx context.Context, to fencing.Subject, c agentapi.RewindCommand) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Rewind, c)
	return err
}

// Discard implements execute.Copiers.
func (a Agents) Discard(ctx context.Context, to fencing.Subject, c agentapi.DiscardCommand) error {
	_, err := call(ctx, a, to, commandTimeout, (*agentclient.Client).Discard, c)
	return err
}

// Snapshot implements execute.Comparers.
func (a Agents) Snapshot(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.SnapshotReply, error) {
	return call(ctx, a, to, compareTimeout, (*agentclient.Client).Snapshot, c)
}

// Covers implements execute.Comparers.
func (a Agents) Covers(ctx context.Context, to fencing.Subject, r agentapi.CoversRequest) (agentapi.CoversReply, error) {
	return call(ctx, a, to, compareTimeout, (*agentclient.Client).Covers, r)
}
