package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// orderRewind cuts the tail that a former primary holds since its unclean end, before
// any mysqld touches it. The agent judges by its own reading of the Lease.
func (a *Agent) orderRewind(ctx context.Context, c agentapi.RewindCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: a.state.view().Known}
	if err := a.gate.head(c.Command); err != nil {
		return done, err
	}
	keep, err := gtid.Parse(c.HolderGTIDs)
	if err != nil || keep.IsEmpty() {
		return done, refuse(agentapi.ErrorRefused, "holderGTIDs %.100q is not what a primary's binlog holds (%v)", c.HolderGTIDs, err)
	}
	record, err := a.ownReading(ctx)
	if err != nil {
		return done, err
	}
	switch err := a.data.occupy(agentapi.PhaseHeld, "", func() error { return a.giving(record).MayRewind(c) }); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	a.state.bump()
	go a.rewind(a.ctx, tailOrder{keep: keep, keepTail: c.KeepTail})
	return done, nil
}

// tailOrder is what a rewind is asked for.
type tailOrder struct {
	// keep is the holder's binlog.
	keep gtid.Set
	// keepTail: nothing is cut.
	keepTail bool
}

// tailRefusal is why the tail is not cut, and what is in it, as far as that is known. The zero
// value is none.
type tailRefusal struct {
	why  string
	kept gtid.Set
}

// keptTailError: the tail is not empty and must not be cut.
type keptTailError struct{ tail gtid.Set }

// Error implements error.
func (e keptTailError) Error() string {
	return fmt.Sprintf("it has %d transactions that the primary lacks, such as %.200s", e.tail.Count(), e.tail)
}

// refusalOf is the zero value for an error that says nothing about the tail.
func (a *Agent) refusalOf(err error, order tailOrder) tailRefusal {
	var kept keptTailError
	if errors.As(err, &kept) {
		return tailRefusal{why: err.Error(), kept: kept.tail}
	}
	if !rewind.IsRefusal(err) {
		return tailRefusal{}
	}
	contents, unread := rewind.Contents(a.vol.DataDir())
	if unread != nil {
		return tailRefusal{why: err.Error()} // the same reason
	}
	return tailRefusal{why: err.Error(), kept: contents.Subtract(order.keep)}
}

func (a *Agent) rewind(ctx context.Context, order tailOrder) {
	err := a.tryRewind(ctx, order)
	a.state.refusesRewind(a.refusalOf(err, order))
	a.data.vacate()
	a.queue.post(authority.DataReady{
		At:        process.Now(),
		DataID:    a.data.id(),
		EpochFile: err == nil,
		Renewed:   err == nil,
	})
	if err != nil {
		a.log.Error(err, "cannot rewind")
		a.state.problem(agentapi.ProblemErrant, "the tail cannot be cut, the data is kept as it is: "+err.Error())
	} else {
		a.state.resolve(agentapi.ProblemErrant)
	}
	a.state.bump()
}

func (a *Agent) tryRewind(ctx context.Context, order tailOrder) error {
	a.queue.post(authority.DataGone{At: process.Now()})
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for view := a.state.view(); view.Data; view = a.state.view() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	// From here on the machine starts nothing; it may have done so before.
	proc := a.mysqld.process()
	view := a.state.view()
	if view.Serving != authority.Stopped || proc != nil || (view.Durable.TailCommitted && !order.keepTail) {
		return errors.New("mysqld was started meanwhile")
	}
	if order.keepTail {
		return a.findNoTail(order.keep)
	}
	uuid, err := serverUUID(a.vol.DataDir())
	if err != nil {
		return err
	}
	a.failures.at(failBeforeRewind)
	result, err := rewind.Cut(rewind.Member{
		DataDir:    a.vol.DataDir(),
		Server:     uuid,
		Keep:       order.keep,
		Quarantine: a.vol.QuarantineDir(),
	}, time.Now())
	if err != nil {
		return err
	}
	a.failures.at(failAfterRewind)
	a.log.Info("rewound", "transactions", result.Tail.Transactions, "errant", result.Tail.Errant.String(), "saved", result.Saved)
	return nil
}

// findNoTail compares this member's binlogs with the holder's. Without a tail there is nothing
// that a start of mysqld could commit, so the member may go on whatever the Lease says about it.
func (a *Agent) findNoTail(keep gtid.Set) error {
	contents, err := rewind.Contents(a.vol.DataDir())
	if err != nil {
		return err
	}
	if tail := contents.Subtract(keep); !tail.IsEmpty() {
		return keptTailError{tail: tail}
	}
	a.log.Info("the former primary has no transaction that the primary lacks")
	return nil
}

// serverUUID reads the UUID of a data directory whose mysqld is down.
func serverUUID(dir string) (gtid.ServerUUID, error) {
	text, err := os.ReadFile(filepath.Join(dir, "auto.cnf"))
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "server-uuid="); ok {
			return gtid.ParseServerUUID(value)
		}
	}
	return "", fmt.Errorf("%s/auto.cnf names no server-uuid", dir)
}

// refusesRewind publishes why the tail cannot be cut, so that it is not tried again and
// again; the zero value takes that back.
func (b *board) refusesRewind(tail tailRefusal) {
	b.mu.Lock()
	b.tail = tail
	b.mu.Unlock()
	b.bump()
}
