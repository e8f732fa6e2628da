package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// draining closes the sessions of the open member one by one, each as soon as it is outside a
// transaction. It is a lease: the operator renews it, and it ends by itself when no operator
// does, when the member is not open at its epoch any more, and with the process.
type draining struct {
	gate  gate
	log   logr.Logger
	ops   drainServer
	state *board
	life  func() context.Context // of the agent: a drain outlives the request for it

	mu        sync.Mutex
	operation string // empty for none
	epoch     pair.Epoch
	until     authority.Instant
	running   bool
	asked     int
	rounds    int
	closed    int
	inFlight  []mysqlops.ClientSession
}

// drainServer is what a drain needs of mysqld.
type drainServer interface {
	CloseIdleSessions(ctx context.Context) (mysqlops.Drained, error)
}

const (
	// maxDraining is the longest time that is drained by one request.
	maxDraining = time.Minute
	// drainEvery is the time between two rounds, from the begin of one to that of the next at least.
	drainEvery = 5 * time.Millisecond
	// sessionsShown is how many sessions in flight the state names.
	sessionsShown = 20
	// sessionsListed is how many are listed on request.
	sessionsListed = 10000
)

// order begins, renews or ends a drain. Only the open member of the epoch that the
// command names drains.
func (d *draining) order(_ context.Context, c agentapi.DrainCommand) (agentapi.Done, error) {
	view := d.state.view()
	done := agentapi.Done{RequestID: c.RequestID, Epoch: view.Known}
	if c.Operation == "" {
		return done, refuse(agentapi.ErrorRefused, "operation is empty: name the one that switches over")
	}
	if err := d.gate.head(c.Command); err != nil {
		return done, err
	}
	if c.For <= 0 {
		d.end(c.Operation)
		return done, nil
	}
	switch {
	case view.Serving != authority.Serves || view.OpenEpoch != c.Epoch:
		return done, refuse(agentapi.ErrorRefused, "this member is not open at epoch %d", c.Epoch)
	case c.For > maxDraining:
		return done, refuse(agentapi.ErrorRefused, "a drain of %s is too long: ask for at most %s and renew it", c.For, maxDraining)
	}
	d.begin(c.Operation, c.Epoch, c.For)
	return done, nil
}

func (d *draining) begin(operation string, epoch pair.Epoch, limit time.Duration) {
	// Observers read what is described under the lock.
	defer d.state.bump()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.operation != operation || d.epoch != epoch {
		d.operation = operation
		d.epoch = epoch
		d.asked = 0
		d.rounds = 0
		d.closed = 0
		d.inFlight = nil
		d.log.Info("draining", "operation", operation, "epoch", epoch)
	}
	d.asked++
	d.until = process.Now().Add(limit)
	if !d.running {
		d.running = true
		go d.run(d.life())
	}
}

// end stops draining for an operation. What is closed stays closed.
func (d *draining) end(operation string) {
	d.mu.Lock()
	if d.operation == operation {
		d.until = 0
	}
	d.mu.Unlock()
	d.state.bump()
}

// active reports whether another round is due.
func (d *draining) active() bool {
	view := d.state.view()
	d.mu.Lock()
	defer d.mu.Unlock()
	open := view.Serving == authority.Serves && view.OpenEpoch == d.epoch
	if open && process.Now() < d.until {
		return true
	}
	d.running = false
	d.until = 0
	if !open {
		d.operation = ""
	}
	return false
}

func (d *draining) run(ctx context.Context) {
	ticker := time.NewTicker(drainEvery)
	defer ticker.Stop()
	for d.active() {
		round, err := d.ops.CloseIdleSessions(ctx)
		if err != nil {
			d.log.V(1).Info("a round of the drain failed", "reason", err.Error())
		} else {
			d.note(round)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	d.log.Info("the drain has ended")
	d.state.bump()
}

func (d *draining) note(round mysqlops.Drained) {
	d.mu.Lock()
	d.rounds++
	d.closed += round.Closed
	d.inFlight = round.InFlight
	d.mu.Unlock()
	d.state.bump()
}

// describe is what the state says of the last drain, also when its time is over; nil when there
// was none.
func (d *draining) describe() *agentapi.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.operation == "" {
		return nil
	}
	left := max(d.until.Sub(process.Now()), 0)
	return &agentapi.Drain{
		Operation: d.operation,
		Left:      left,
		Asked:     d.asked,
		Rounds:    d.rounds,
		Closed:    d.closed,
		InFlight:  len(d.inFlight),
		Busy:      describeSessions(d.inFlight, sessionsShown),
	}
}

func describeSessions(all []mysqlops.ClientSession, most int) []agentapi.Session {
	var out []agentapi.Session
	for _, one := range all[:min(len(all), most)] {
		out = append(out, agentapi.Session{
			ID:        one.ID,
			User:      one.User,
			Host:      one.Host,
			InFlight:  one.InFlight,
			DDL:       one.DDL,
			Age:       one.Age,
			Statement: one.Statement,
		})
	}
	return out
}

// hasInFlight takes what was in flight for long when mysqld was last asked.
func (b *board) hasInFlight(list []agentapi.Session) {
	b.mu.Lock()
	b.inFlight = list
	b.mu.Unlock()
	b.bump()
}

// keyOfDrain is what observers of the state wait for: a drain's begin and renewals, its first
// round and whether it is done.
func keyOfDrain(d *agentapi.Drain) string {
	if d == nil {
		return ""
	}
	return fmt.Sprint(d.Operation, d.Asked, d.Rounds > 0, d.InFlight == 0, d.Left == 0)
}
