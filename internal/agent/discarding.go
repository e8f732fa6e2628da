package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// discards is what this member's quarantine has of received transactions that an admin allowed
// to give up, and of data that was given up for a copy. The notes on the volume are what counts after a crash.
type discards struct {
	log      logr.Logger
	ops      discardServer
	vol      *volume.Volume
	data     *dataset
	state    *board
	peer     peerSource
	failures *failpoints

	mu     sync.Mutex
	loaded bool
	notes  []volume.SavedRelayLog
	copies []agentapi.Discarded
}

// discardMost bounds one discard: what mysqld rolls back beyond that is gone at the next try.
const discardMost = 45 * time.Second

// discarding is the command to give up what was received and not applied.
type discarding struct {
	gate   dataGate
	state  *board
	follow interface {
		discard(ctx context.Context, c agentapi.DiscardCommand) error
	}
	life func() context.Context // of the agent: it outlives the command
}

// order saves what was received and not applied, and gives it up. The agent judges by
// its own reading of the Lease. It goes on when the operator does not wait for the answer.
func (d *discarding) order(ctx context.Context, c agentapi.DiscardCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: d.state.view().Known}
	if err := d.gate.head(c.Command); err != nil {
		return done, err
	}
	record, err := d.gate.reading(ctx)
	if err != nil {
		return done, err
	}
	if err := d.gate.giving(record).MayDiscard(c); err != nil {
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	ctx, cancel := context.WithTimeout(d.life(), discardMost)
	defer cancel()
	if err := d.follow.discard(ctx, c); err != nil {
		return done, fmt.Errorf("discard what was not applied: %w", err)
	}
	return done, nil
}

// discardServer is what a discard needs of mysqld.
type discardServer interface {
	InterruptApplier(ctx context.Context) error
	DiscardReceived(ctx context.Context) error
}

// discard does what is due until nothing is left that was received and not applied. It holds
// the turn, so that the applier is not started in its middle.
func (r *replication) discard(ctx context.Context, c agentapi.DiscardCommand) error {
	r.interrupt()
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.giveBack()
	const mostSteps = 8 // each step is due once, or again after mysqld took long
	for range mostSteps {
		if !r.isFencedAt(c.Epoch) || !r.mysqld.isUp() {
			return errors.New("mysqld is not closed at this epoch any more")
		}
		status, err := r.ops.Status(ctx)
		if err != nil {
			return err
		}
		step, err := r.discards.next(c, status)
		if err != nil {
			return err
		}
		if step == judge.DiscardDone {
			return r.applier.end(ctx)
		}
		r.log.Info("discarding what was received and not applied", "step", step, "operation", c.Operation, "epoch", c.Epoch)
		if err := r.discards.step(ctx, step, c, status); err != nil {
			return err
		}
	}
	return errors.New("it was not done after its last step")
}

// next notes what is given up already, and says what is due.
func (d *discards) next(c agentapi.DiscardCommand, status mysqlops.Status) (judge.DiscardStep, error) {
	var none judge.DiscardStep
	if err := d.settle(status); err != nil {
		return none, err
	}
	saved, err := d.saved(c.Target)
	if err != nil {
		return none, err
	}
	return judge.NextDiscard(status, saved)
}

func (d *discards) step(ctx context.Context, step judge.DiscardStep, c agentapi.DiscardCommand, status mysqlops.Status) error {
	switch step {
	case judge.DiscardInterrupt:
		return d.ops.InterruptApplier(ctx)
	case judge.DiscardSave:
		d.failures.at(failBeforeSave)
		return d.save(c, status)
	case judge.DiscardReset:
		d.failures.at(failAfterSave)
		err := d.ops.DiscardReceived(ctx)
		d.failures.at(failAfterDiscard)
		return err
	case judge.DiscardDone:
	}
	return nil
}

// interrupt ends the step under way, so that anyone who waits for the turn gets it soon.
func (r *replication) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
}

func (r *replication) isFencedAt(epoch pair.Epoch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standing == orderFenced && r.epoch == epoch
}

// load reads the notes once.
func (d *discards) load() error {
	if d.loaded {
		return nil
	}
	notes, err := d.vol.SavedRelayLogs()
	if err != nil {
		return err
	}
	copies, err := d.vol.GivenUp()
	if err != nil {
		return err
	}
	d.notes = notes
	d.copies = copies
	d.loaded = true
	d.publish()
	return nil
}

// saved are the transactions of this data that are in the quarantine and not given up yet.
func (d *discards) saved(data pair.DataID) (gtid.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var set gtid.Set
	if err := d.load(); err != nil {
		return set, err
	}
	for _, note := range d.notes {
		if note.DataID == data && note.Discarded == "" {
			set = set.Union(parsedOrEmpty(note.GTIDs))
		}
	}
	return set, nil
}

func (d *discards) save(c agentapi.DiscardCommand, s mysqlops.Status) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	note, err := d.vol.SaveRelayLog(volume.SavedRelayLog{
		Operation: c.Operation,
		Epoch:     c.Epoch,
		DataID:    c.Target,
		GTIDs:     s.Received.Subtract(s.Executed).String(),
		SavedAt:   time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	d.log.Info("relay log saved", "directory", note.Directory, "files", note.Files, "gtids", note.GTIDs)
	d.notes = append(d.notes, note)
	return nil
}

// settle writes down what of a saved relay log is not received any more: it was given up, by
// this process or by one that ended right after that. While the relay log is there all of it
// counts as received, and what was applied does for good.
func (d *discards) settle(s mysqlops.Status) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.load(); err != nil {
		return err
	}
	data := d.data.id()
	settled := false
	for i := range d.notes {
		note := &d.notes[i]
		gone := parsedOrEmpty(note.GTIDs).Subtract(s.Received)
		if note.DataID != data || note.Discarded != "" || gone.IsEmpty() {
			continue
		}
		next := *note
		next.Discarded, next.Transactions, next.DiscardedAt = gone.String(), gone.Count(), time.Now().UTC()
		if err := d.vol.NoteDiscarded(next); err != nil {
			return err
		}
		*note = next
		settled = true
		d.log.Info("discarded what was received and not applied", "operation", note.Operation, "epoch", note.Epoch,
			"gtids", note.Discarded, "transactions", note.Transactions, "saved", note.Directory)
	}
	if settled {
		d.publish()
	}
	return nil
}

// publish has the state name the last discard of the data that the member has, or is given.
func (d *discards) publish() {
	id := d.data.get()
	data := id.DataID
	if id.Void {
		data = id.Initializing
	}
	var last *agentapi.Discarded
	for i := range d.copies {
		if d.copies[i].DataID == data {
			last = &d.copies[i]
		}
	}
	for _, note := range d.notes {
		if note.Discarded == "" || note.DataID != data {
			continue
		}
		last = &agentapi.Discarded{
			Operation:    note.Operation,
			Epoch:        note.Epoch,
			DataID:       note.DataID,
			GTIDs:        note.Discarded,
			Transactions: note.Transactions,
			Directory:    note.Directory,
			Files:        note.Files,
		}
	}
	d.state.hasDiscarded(last)
}

// parsedOrEmpty is a set of a note; empty when a person has edited it.
func parsedOrEmpty(text string) gtid.Set {
	set, err := gtid.Parse(text)
	if err != nil {
		return gtid.Set{}
	}
	return set
}

// hasDiscarded publishes the last discard.
func (b *board) hasDiscarded(last *agentapi.Discarded) {
	b.mu.Lock()
	b.discarded = last
	b.mu.Unlock()
	b.bump()
}
