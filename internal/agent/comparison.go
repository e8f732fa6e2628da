package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// lastComparison is what this agent compared last; nil for nothing.
func (b *board) lastComparison() *agentapi.Comparison {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.compared
}

// hasCompared publishes what a comparison with the holder's binlog found.
func (b *board) hasCompared(c agentapi.Comparison) {
	b.mu.Lock()
	b.compared = &c
	b.mu.Unlock()
	b.bump()
}

// errErrant: this member has transactions that the primary lacks.
var errErrant = errors.New("errant transactions")

// compare refuses to follow while this binlog has what the holder's lacks: this set is
// read before the peer's, so that a transaction that arrives in between is not taken for one
// that the holder lacks. Commits that wait at the holder count as its own. What follows from a
// finding is half a sentence.
func (r *replication) compare(ctx context.Context, epoch pair.Epoch, follows string) error {
	self := r.present()
	status, err := r.ops.Status(ctx)
	if err != nil {
		return err
	}
	peer, err := r.peer.ask(ctx, 3*time.Second, true)
	if err != nil {
		return err
	}
	errant, err := judge.Errant(status, peer, r.pairUID, epoch)
	if err != nil {
		return err
	}
	if r.present() != self {
		return errors.New("mysqld was restarted while its transactions were compared")
	}
	found := judge.Compare(r.state.lastComparison(), errant, self, peer)
	r.state.hasCompared(found)
	if errant, err = gtid.Parse(found.Errant); err != nil {
		return err
	}
	if !errant.IsEmpty() {
		r.state.problem(agentapi.ProblemErrant, fmt.Sprintf(
			"this member has %d transactions that the primary lacks, such as %.200s; %s", errant.Count(), errant, follows))
		return errErrant
	}
	r.state.resolve(agentapi.ProblemErrant)
	return nil
}

// compareOwnWrites compares a passive that streams again once it has written by itself, and again
// and again while the primary lacks some of that. It goes on replicating: what it acknowledges is
// on its disk whatever else it has, and commits need not wait for a person. A comparison that
// cannot be made now is made at a later step.
func (r *replication) compareOwnWrites(ctx context.Context, epoch pair.Epoch, status mysqlops.Status) {
	peer, silent := r.peer.last()
	if silent > silentPeer {
		return
	}
	former := r.state.lastComparison()
	errant := former != nil && former.Errant != ""
	if due := r.own.Due(status, peer); !due && !errant {
		return
	}
	err := r.compare(ctx, epoch, "it replicates, and cannot take over until it is copied again")
	switch {
	case err == nil, errors.Is(err, errErrant):
		r.own.Compared(status, peer)
	default:
		r.log.V(1).Info("own writes are not compared yet", "reason", err.Error())
	}
}
