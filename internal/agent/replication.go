package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// order is what the channel from the peer is to do.
type order string

const (
	orderNone   order = "None"   // what was received is applied; the receiver is left as it is
	orderFollow order = "Follow" // the peer is the holder
	orderLead   order = "Lead"   // this member is open; the reverse channel
	orderFenced order = "Fenced" // ack fence: the receiver stays stopped
)

// replication carries out the standing order. Its steps, opening, fencing and the
// correction of read_only exclude each other: turn is held by one of them at a time.
type replication struct {
	pairUID  pair.UID
	log      logr.Logger
	ops      replicaServer
	mysqld   *instance
	state    *board
	data     *dataset
	settings *settings
	peer     peerSource
	channel  *channel
	applier  *applier
	discards *discards

	turn chan struct{}
	kick chan struct{}

	mu        sync.Mutex
	standing  order
	epoch     pair.Epoch
	orderedAt authority.Instant
	cancel    context.CancelFunc // of the step under way

	// Of the holder of turn: what the peer's data was compared for, and what of its own this mysqld
	// had then.
	cleared string
	own     judge.OwnWrites
}

// replicaServer is what the standing order needs of mysqld, beside the channel and the applier.
type replicaServer interface {
	Status(ctx context.Context) (mysqlops.Status, error)
	StopReceiver(ctx context.Context) error
	OpenReadOnly(ctx context.Context) error
	ReleaseApplier(ctx context.Context) error
	StopEvents(ctx context.Context) error
}

// peerSource is what the other agent says of itself.
type peerSource interface {
	// last is the newest state heard, nil before the first, and for how long the peer has been
	// silent.
	last() (state *agentapi.State, silent time.Duration)
	// ask reads the state now; fresh has the peer's mysqld asked again.
	ask(ctx context.Context, limit time.Duration, fresh bool) (*agentapi.State, error)
}

// begin makes the turn, and the standing order that nothing is ordered.
func (r *replication) begin() *replication {
	r.turn = make(chan struct{}, 1)
	r.kick = make(chan struct{}, 1)
	r.standing = orderNone
	r.turn <- struct{}{}
	return r
}

// order replaces the standing order and ends the step under way.
func (r *replication) order(o order, epoch pair.Epoch) {
	r.mu.Lock()
	r.standing = o
	r.orderedAt = process.Now()
	r.epoch = epoch
	if r.cancel != nil {
		r.cancel()
	}
	r.mu.Unlock()
	r.hurry()
}

// hurry has the next step made now.
func (r *replication) hurry() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

const (
	// followAgain is when a step that failed is made again just after its order: a primary
	// whose passive was demoted in a planned switchover waits for it to follow.
	followAgain = 50 * time.Millisecond
	// orderIsFresh is for how long after an order that is done.
	orderIsFresh = 3 * time.Second
)

// silentPeer is from when on what the peer said last is too old to act on.
const silentPeer = 5 * time.Second

// justOrdered: the standing order is a few seconds old.
func (r *replication) justOrdered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return process.Now().Sub(r.orderedAt) < orderIsFresh
}

// take waits for the turn; giveBack must follow when it returns nil.
func (r *replication) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *replication) giveBack() { r.turn <- struct{}{} }

// halt stops the receiver and sees that it stands still.
func (r *replication) halt(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.giveBack()
	r.cleared = ""
	if !r.mysqld.isUp() {
		return nil // mysqld boots with its receiver stopped
	}
	if err := r.ops.StopReceiver(ctx); err != nil {
		return err
	}
	status, err := r.ops.Status(ctx)
	if err != nil {
		return err
	}
	if status.Channel.Configured && status.Channel.Receiver != mysqlops.ReceiverStopped {
		return fmt.Errorf("the receiver is %s after it was stopped", status.Channel.Receiver)
	}
	return nil
}

func (r *replication) run(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	said := "" // a reason is logged once, not twice a second
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-r.kick:
		}
		err := r.step(ctx)
		if err == nil {
			said = ""
		} else if r.justOrdered() {
			time.AfterFunc(followAgain, r.hurry)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) && said != err.Error() {
			said = err.Error()
			r.log.Info("replication is not as ordered yet", "reason", said)
		}
	}
}

func (r *replication) step(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.giveBack()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	r.mu.Lock()
	r.cancel = cancel
	o := r.standing
	epoch := r.epoch
	r.mu.Unlock()
	if !r.mysqld.isUp() {
		return nil
	}
	status, err := r.ops.Status(ctx)
	if err != nil {
		return err
	}
	if o != orderLead && status.IsOpen() {
		return nil // opening or closing; the watch corrects a passive
	}
	if o != orderLead {
		if err := r.calm(ctx, status); err != nil {
			return err
		}
	}
	switch o {
	case orderFollow:
		return r.followPeer(ctx, epoch, status)
	case orderLead:
		return r.leadPeer(ctx, epoch, status)
	case orderNone, orderFenced:
	}
	if o == orderFenced && status.Channel.Receiver == mysqlops.ReceiverStopped {
		if err := r.discards.settle(status); err != nil {
			return err
		}
		return r.applyAll(ctx, status)
	}
	return r.applier.start(ctx, status)
}

// calm switches off what only a primary has on.
func (r *replication) calm(ctx context.Context, status mysqlops.Status) error {
	if status.SemiSync.SourceEnabled {
		// A passive whose source side is on would let its applier wait forever.
		if err := r.ops.ReleaseApplier(ctx); err != nil {
			return err
		}
	}
	if status.EventScheduler {
		return r.ops.StopEvents(ctx)
	}
	return nil
}

// followPeer replicates from the open peer, unless this member has what the peer lacks.
func (r *replication) followPeer(ctx context.Context, epoch pair.Epoch, status mysqlops.Status) error {
	key := r.key(orderFollow, epoch, "")
	if r.cleared != key || status.Channel.Receiver == mysqlops.ReceiverStopped || !status.Channel.Configured {
		return r.beginFollowing(ctx, epoch, key, status)
	}
	if r.channel.passwordIsDue(status) {
		return r.connect(ctx, true)
	}
	if r.channel.formerIsDue(status) {
		r.applier.setEnded("")
		return r.channel.connectBy(ctx, true, true)
	}
	if err := r.applier.start(ctx, status); err != nil {
		return err
	}
	if status.OfflineMode && status.Channel.Receiver == mysqlops.ReceiverStreaming {
		r.log.Info("serving reads", "epoch", epoch)
		if err := r.ops.OpenReadOnly(ctx); err != nil {
			return err
		}
		r.state.poke()
	}
	r.compareOwnWrites(ctx, epoch, status)
	return nil
}

// beginFollowing compares this member with the peer, and points the channel at it.
func (r *replication) beginFollowing(ctx context.Context, epoch pair.Epoch, key string, status mysqlops.Status) error {
	err := r.compare(ctx, epoch, "it does not replicate until it is rewound or copied again")
	if errors.Is(err, errErrant) && status.Channel.Receiver != mysqlops.ReceiverStopped {
		// The reverse channel of a former primary may still stream.
		return errors.Join(err, r.ops.StopReceiver(ctx))
	}
	if err != nil {
		return err
	}
	// What a former run received and did not apply is in the relay log, which a new
	// source would take away: it is applied while the channel is led elsewhere.
	if err := r.applier.start(ctx, status); err != nil {
		return err
	}
	if err := r.connect(ctx, r.cleared != key && !r.goesOn(status)); err != nil {
		return err
	}
	r.cleared = key
	peer, _ := r.peer.last()
	r.own.Compared(status, peer)
	r.state.poke()
	return nil
}

// connect points the channel at the peer and starts it.
func (r *replication) connect(ctx context.Context, rotated bool) error {
	r.applier.setEnded("")
	return r.channel.connect(ctx, rotated)
}

// leadPeer keeps the reverse channel, which opens only towards a member that is closed
// at this epoch, has no waiting commit, and has nothing that is not here (4.7).
func (r *replication) leadPeer(ctx context.Context, epoch pair.Epoch, status mysqlops.Status) error {
	peer, silent := r.peer.last()
	if peer == nil || silent > silentPeer {
		return nil
	}
	key := r.key(orderLead, epoch, peer.Mysqld.Incarnation)
	running := status.Channel.Receiver != mysqlops.ReceiverStopped && status.Channel.Configured
	due := r.channel.worksWith() != r.settings.passwordsRevision() && r.state.passwords() == r.settings.passwordsRevision()
	if r.cleared == key && running && !due {
		return nil
	}
	if running {
		if err := r.ops.StopReceiver(ctx); err != nil {
			return err
		}
	}
	peer, err := r.peer.ask(ctx, 3*time.Second, true)
	if err != nil {
		return err
	}
	status, err = r.ops.Status(ctx)
	if err != nil {
		return err
	}
	if err := (judge.Reverse{
		PairUID: r.pairUID,
		Epoch:   epoch,
		Peer:    peer,
	}).MayOpen(status); err != nil {
		return err
	}
	if err := r.connect(ctx, true); err != nil {
		return err
	}
	r.cleared = r.key(orderLead, epoch, peer.Mysqld.Incarnation)
	return nil
}

// goesOn: the receiver streams from the peer already. It is what was the reverse channel of this
// member as long as it was the primary, and the peer's clients wait for its acknowledgments. A new connection
// beside one that just ended is heard up to a second late: mysqld's ack receiver looks for another
// one only when its poll of the former ones has timed out (semisync_source_socket_listener.h of MySQL 9).
func (r *replication) goesOn(status mysqlops.Status) bool {
	return status.Channel.Receiver == mysqlops.ReceiverStreaming && status.SemiSync.ReplicaActive &&
		r.channel.worksWith() == r.settings.passwordsRevision()
}

func (r *replication) key(o order, epoch pair.Epoch, peer pair.Incarnation) string {
	return fmt.Sprintf("%s/%d/%s/%s", o, epoch, r.mysqld.newest(), peer)
}

// present is the run of mysqld and the data it has now.
func (r *replication) present() judge.Self {
	return judge.Self{Incarnation: r.mysqld.newest(), DataID: r.data.get().DataID}
}

// applyAll waits a moment until everything received is applied, and ends the applier then.
// It is called again until that is so.
func (r *replication) applyAll(ctx context.Context, status mysqlops.Status) error {
	if !status.Executed.Covers(status.Received) {
		if err := r.applier.start(ctx, status); err != nil {
			return err
		}
		r.hurry()
		if done, err := r.applier.some(ctx, status.Received); err != nil || !done {
			return err
		}
	}
	return r.applier.end(ctx)
}

// applyReceived waits until everything received is applied: a primary that wrote before
// would write over what it has not seen yet. Then it ends the applier, which stays stopped
// until the reverse channel connects.
func (r *replication) applyReceived(ctx context.Context, limit time.Duration) error {
	status, err := r.ops.Status(ctx)
	if err != nil {
		return err
	}
	if !status.Executed.Covers(status.Received) {
		if err := r.applier.all(ctx, status.Received, limit); err != nil {
			return err
		}
	}
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.giveBack()
	return r.applier.end(ctx)
}
