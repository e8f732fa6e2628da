package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// rewinding cuts from a former primary's binlog what the new one does not have.
type rewinding struct {
	gate     dataGate
	log      logr.Logger
	vol      *volume.Volume
	data     *dataset
	mysqld   *instance
	state    *board
	post     func(authority.Event)
	beside   beside // the command: it does not wait for the end
	failures *failpoints
}

// order cuts the tail that a former primary holds since its unclean end, before
// any mysqld touches it. The agent judges by its own reading of the Lease.
func (r *rewinding) order(ctx context.Context, c agentapi.RewindCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: r.state.view().Known}
	if err := r.gate.head(c.Command); err != nil {
		return done, err
	}
	keep, err := gtid.Parse(c.HolderGTIDs)
	if err != nil || keep.IsEmpty() {
		return done, refuse(agentapi.ErrorRefused, "holderGTIDs %.100q is not what a primary's binlog holds (%v)", c.HolderGTIDs, err)
	}
	record, err := r.gate.reading(ctx)
	if err != nil {
		return done, err
	}
	switch err := r.data.occupy(agentapi.PhaseHeld, "", func() error { return r.gate.giving(record).MayRewind(c) }); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	r.state.bump()
	r.beside(func(ctx context.Context) { r.run(ctx, tailOrder{keep: keep, keepTail: c.KeepTail}) })
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
func (r *rewinding) refusalOf(err error, order tailOrder) tailRefusal {
	var kept keptTailError
	if errors.As(err, &kept) {
		return tailRefusal{why: err.Error(), kept: kept.tail}
	}
	if !rewind.IsRefusal(err) {
		return tailRefusal{}
	}
	contents, unread := rewind.Contents(r.vol.BinlogDir())
	if unread != nil {
		return tailRefusal{why: err.Error()} // the same reason
	}
	return tailRefusal{why: err.Error(), kept: contents.Subtract(order.keep)}
}

func (r *rewinding) run(ctx context.Context, order tailOrder) {
	err := r.try(ctx, order)
	r.state.refusesRewind(r.refusalOf(err, order))
	r.data.vacate()
	r.post(authority.DataReady{
		At:        process.Now(),
		DataID:    r.data.id(),
		EpochFile: err == nil,
		Renewed:   err == nil,
	})
	if err != nil {
		r.log.Error(err, "cannot rewind")
		r.state.problem(agentapi.ProblemErrant, "the tail cannot be cut, the data is kept as it is: "+err.Error())
	} else {
		r.state.resolve(agentapi.ProblemErrant)
	}
	r.state.bump()
}

func (r *rewinding) try(ctx context.Context, order tailOrder) error {
	r.post(authority.DataGone{At: process.Now()})
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for view := r.state.view(); view.Data; view = r.state.view() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	// From here on the machine starts nothing; it may have done so before.
	proc := r.mysqld.process()
	view := r.state.view()
	if view.Serving != authority.Stopped || proc != nil || (view.Durable.TailCommitted && !order.keepTail) {
		return errors.New("mysqld was started meanwhile")
	}
	if order.keepTail {
		return r.findNoTail(order.keep)
	}
	uuid, err := serverUUID(r.vol.DataDir())
	if err != nil {
		return err
	}
	if err := r.vol.ForgetBinlogMark(r.data.id()); err != nil {
		return err
	}
	r.failures.at(failBeforeRewind)
	result, err := rewind.Cut(rewind.Member{
		BinlogDir:  r.vol.BinlogDir(),
		Server:     uuid,
		Keep:       order.keep,
		Quarantine: r.vol.QuarantineDir(),
	}, time.Now())
	if err != nil {
		return err
	}
	r.failures.at(failAfterRewind)
	// A look at the logs that began before the cut may have noted their former end.
	if err := r.vol.ForgetBinlogMark(r.data.id()); err != nil {
		return err
	}
	r.log.Info("rewound", "transactions", result.Tail.Transactions, "errant", result.Tail.Errant.String(), "saved", result.Saved)
	return nil
}

// findNoTail compares this member's binlogs with the holder's. Without a tail there is nothing
// that a start of mysqld could commit, so the member may go on whatever the Lease says about it.
func (r *rewinding) findNoTail(keep gtid.Set) error {
	contents, err := rewind.Contents(r.vol.BinlogDir())
	if err != nil {
		return err
	}
	if tail := contents.Subtract(keep); !tail.IsEmpty() {
		return keptTailError{tail: tail}
	}
	r.log.Info("the former primary has no transaction that the primary lacks")
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
