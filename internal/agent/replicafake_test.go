package agent

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func (r *recorder) StopReceiver(context.Context) error { return r.change("stop receiver") }

func (r *recorder) StartReceiver(context.Context) error { return r.change("start receiver") }

func (r *recorder) OpenReadOnly(context.Context) error { return r.change("serve reads") }

func (r *recorder) ReleaseApplier(context.Context) error { return r.change("release applier") }

func (r *recorder) StopEvents(context.Context) error { return r.change("stop events") }

func (r *recorder) EndApplying(context.Context) error { return r.change("end applying") }

func (r *recorder) EndBlockers(context.Context) (int, error) { return 0, r.change("end blockers") }

// WaitApplied is too late unless everything is applied already.
func (r *recorder) WaitApplied(_ context.Context, set gtid.Set, _ time.Duration) error {
	if r.status.Executed.Covers(set) {
		return nil
	}
	return mysqlops.ErrDeadline
}

func (r *recorder) ConfigureChannel(_ context.Context, source mysqlops.Source, _ bool) (bool, error) {
	return true, r.change("replicate from " + source.Host)
}

func (r *recorder) SetReplicaAcknowledges(context.Context, bool) error {
	return r.change("acknowledge")
}

func (r *recorder) InterruptApplier(context.Context) error { return r.change("interrupt applier") }

func (r *recorder) DiscardReceived(context.Context) error { return r.change("discard relay log") }

// heard is a peer that says the same whenever it is asked.
type heard struct {
	state  *agentapi.State
	silent time.Duration
}

func (h heard) last() (*agentapi.State, time.Duration) { return h.state, h.silent }

func (h heard) ask(context.Context, time.Duration, bool) (*agentapi.State, error) {
	if h.state == nil {
		return nil, errors.New("no answer")
	}
	return h.state, nil
}

func (r *recorder) ClientSessions(context.Context) ([]mysqlops.ClientSession, error) { return nil, nil }
