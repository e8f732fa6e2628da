package execute

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

// ask puts one question about the present epoch to one agent and keeps what the answer
// proves. An answer that proves nothing is pending, not an error.
func (r *Runner) ask(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	var subject fencing.Subject
	send := r.Effects.Fencers.Cease
	switch s := step.(type) {
	case failover.Fence:
		subject = s.Subject
		send = r.Effects.Fencers.Fence
	case failover.Cease:
		subject = s.Subject
	case failover.AckFence:
		subject = s.Subject
		send = func(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error) {
			return r.Effects.Fencers.AckFence(ctx, to, agentapi.AckFenceCommand{Command: c, Receive: s.Receive})
		}
	}
	c := r.command(o)
	req, err := r.Book.Ask(subject, c.Epoch, c.RequestID, r.Clock.Now())
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	reply, err := send(ctx, subject, c)
	if errors.Is(err, ErrCrash) {
		return Result{}, err
	}
	if err != nil {
		// No answer is the normal case in a failover, and proves nothing.
		return Result{Pending: fmt.Sprintf("%s of %s: %v", step.Name(), subject, err)}, nil
	}
	return r.answered(step, req, reply)
}

func (r *Runner) answered(step failover.Step, req fencing.Request, reply agentapi.FenceReply) (Result, error) {
	now := r.Clock.Now()
	if err := r.Book.Ceased(req, reply, now); err != nil {
		return Result{Pending: err.Error()}, nil
	}
	switch s := step.(type) {
	case failover.Fence:
		proof, err := fencing.FromReply(req, reply, now)
		if err != nil {
			return Result{Pending: err.Error()}, nil
		}
		r.Book.Add(proof)
	case failover.AckFence:
		for _, about := range s.About {
			proof, err := fencing.FromAckFence(about, req, reply, now)
			if err != nil {
				return Result{Pending: err.Error()}, nil
			}
			r.Book.Add(proof)
		}
	}
	return Result{Changed: true}, nil
}

// prove makes a proof from what is read now, after the request was noted.
func (r *Runner) prove(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	var subject fencing.Subject
	switch s := step.(type) {
	case failover.ProvePod:
		subject = s.Subject
	case failover.ProveNode:
		subject = s.Subject
	case failover.AdminConfirmation:
		subject = s.Subject
	}
	req, err := r.Book.Ask(subject, o.Authority.Record.Epoch, r.NewID(), r.Clock.Now())
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	proof, err := r.proofFor(ctx, step, req)
	if err != nil {
		return Result{Pending: err.Error()}, nil
	}
	r.Book.Add(proof)
	return Result{Changed: true}, nil
}

func (r *Runner) proofFor(ctx context.Context, step failover.Step, req fencing.Request) (fencing.Proof, error) {
	switch s := step.(type) {
	case failover.ProvePod:
		facts, err := r.Effects.Witnesses.Pod(ctx, s.Subject)
		if err != nil {
			return fencing.Proof{}, err
		}
		return fencing.FromPod(req, facts, r.Clock.Now())
	case failover.ProveNode:
		facts, err := r.Effects.Witnesses.Node(ctx, s.Node)
		if err != nil {
			return fencing.Proof{}, err
		}
		return fencing.FromNode(req, s.Node, facts, r.Clock.Now())
	case failover.AdminConfirmation:
		return fencing.FromPerson(req, s.Word, r.Clock.Now())
	}
	return fencing.Proof{}, fmt.Errorf("no such question: %T", step)
}
