package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// releaseHeld has an agent's door let clients through at the epoch of the authority. One that
// does not answer is pending: the Service leads clients past the door soon.
func (r *Runner) releaseHeld(ctx context.Context, o failover.Observation, s failover.ReleaseHeld) (Result, error) {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := r.Effects.Doors.ReleaseHeld(ctx, s.Subject, r.command(o))
	if err != nil && !errors.Is(err, ErrCrash) {
		return Result{Pending: fmt.Sprintf("the door of %s was not released: %v", s.Subject, err)}, nil
	}
	return Result{Changed: err == nil}, err
}

// hold has an agent's door hold clients before the authority changes, or stop that. One that
// does not answer is pending: it holds them from the revocation on.
func (r *Runner) hold(ctx context.Context, o failover.Observation, s failover.Hold) (Result, error) {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := r.Effects.Doors.Hold(ctx, s.Subject, agentapi.HoldCommand{
		Command:   r.command(o),
		Cancel:    s.Cancel,
		ForwardTo: s.ForwardTo,
	})
	if err != nil && !errors.Is(err, ErrCrash) {
		return Result{Pending: fmt.Sprintf("the door of %s was not asked to hold clients, or to stop that: %v", s.Subject, err)}, nil
	}
	return Result{Changed: err == nil}, err
}

// drain has the open primary's agent drain its sessions, or stop that. One that does not answer
// is pending: the drain goes on without it until it ends by itself.
func (r *Runner) drain(ctx context.Context, o failover.Observation, s failover.Drain) (Result, error) {
	err := r.Effects.Drainers.Drain(ctx, s.Subject, agentapi.DrainCommand{
		Command:   r.command(o),
		Operation: s.Operation,
		For:       s.For,
	})
	if err != nil && !errors.Is(err, ErrCrash) {
		return Result{Pending: fmt.Sprintf("%s of %s: %v", s.Name(), s.Subject, err)}, nil
	}
	return Result{Changed: err == nil}, err
}

func (r *Runner) services(ctx context.Context, step failover.Step) (Result, error) {
	var err error
	switch s := step.(type) {
	case failover.PointService:
		err = r.Effects.Services.Point(ctx, s)
	case failover.DetachService:
		err = r.Effects.Services.Detach(ctx, s)
	}
	return Result{Changed: err == nil}, err
}
