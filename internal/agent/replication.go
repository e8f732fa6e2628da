package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
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
	a    *Agent
	turn chan struct{}
	kick chan struct{}

	mu        sync.Mutex
	standing  order
	epoch     pair.Epoch
	orderedAt authority.Instant
	cancel    context.CancelFunc // of the step under way

	password string // revision that the channel was configured with

	cleared string // of the holder of turn: what the peer's data was compared for
	// ended, of the holder of turn, is the mysqld whose applier was stopped because it has
	// applied all that was received.
	ended pair.Incarnation
}

func newReplication(a *Agent) *replication {
	r := &replication{
		a:        a,
		turn:     make(chan struct{}, 1),
		kick:     make(chan struct{}, 1),
		standing: orderNone,
	}
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
	if !r.a.mysqld.isUp() {
		return nil // mysqld boots with its receiver stopped
	}
	if err := r.a.ops.StopReceiver(ctx); err != nil {
		return err
	}
	status, err := r.a.ops.Status(ctx)
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
			r.a.log.Info("replication is not as ordered yet", "reason", said)
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
	if !r.a.mysqld.isUp() {
		return nil
	}
	status, err := r.a.ops.Status(ctx)
	if err != nil {
		return err
	}
	if o != orderLead && status.IsOpen() {
		return nil // opening or closing; the watch corrects a passive
	}
	if o != orderLead && status.SemiSync.SourceEnabled {
		// A passive whose source side is on would let its applier wait forever.
		if err := r.a.ops.ReleaseApplier(ctx); err != nil {
			return err
		}
	}
	if o != orderLead && status.EventScheduler {
		if err := r.a.ops.StopEvents(ctx); err != nil {
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
		if err := r.a.discards.settle(status); err != nil {
			return err
		}
		return r.applyAll(ctx, status)
	}
	return r.startApplier(ctx, status)
}

// startApplier starts an applier that stands still without an error.
func (r *replication) startApplier(ctx context.Context, status mysqlops.Status) error {
	if !status.Channel.Configured || status.Channel.ApplierRunning || status.Channel.ApplierError.Number != 0 {
		return nil
	}
	if r.ended != "" && status.Executed.Covers(status.Received) {
		return nil // it was stopped for good
	}
	r.setEnded("")
	return r.a.ops.StartApplier(ctx)
}

// followPeer replicates from the open peer, unless this member has what the peer lacks.
func (r *replication) followPeer(ctx context.Context, epoch pair.Epoch, status mysqlops.Status) error {
	key := r.key(orderFollow, epoch, "")
	if r.cleared != key || status.Channel.Receiver == mysqlops.ReceiverStopped || !status.Channel.Configured {
		err := r.compare(ctx, epoch)
		if errors.Is(err, errErrant) && status.Channel.Receiver != mysqlops.ReceiverStopped {
			// The reverse channel of a former primary may still stream.
			return errors.Join(err, r.a.ops.StopReceiver(ctx))
		}
		if err != nil {
			return err
		}
		// What a former run received and did not apply is in the relay log, which a new
		// source would take away: it is applied while the channel is led elsewhere.
		if err := r.startApplier(ctx, status); err != nil {
			return err
		}
		if err := r.connect(ctx, r.cleared != key); err != nil {
			return err
		}
		r.cleared = key
		r.a.pokeServer()
		return nil
	}
	if r.passwordIsDue(status) {
		return r.connect(ctx, true)
	}
	if err := r.startApplier(ctx, status); err != nil {
		return err
	}
	if status.OfflineMode && status.Channel.Receiver == mysqlops.ReceiverStreaming {
		r.a.log.Info("serving reads", "epoch", epoch)
		if err := r.a.ops.OpenReadOnly(ctx); err != nil {
			return err
		}
		r.a.pokeServer()
	}
	return nil
}

// errErrant: this member has transactions that the primary lacks.
var errErrant = errors.New("errant transactions")

// compare refuses to follow while this binlog has what the holder's lacks: this set is
// read before the peer's, so that a transaction that arrives in between is not taken for one
// that the holder lacks. Commits that wait at the holder count as its own.
func (r *replication) compare(ctx context.Context, epoch pair.Epoch) error {
	self := r.a.present()
	status, err := r.a.ops.Status(ctx)
	if err != nil {
		return err
	}
	peer, err := r.a.peer.ask(ctx, 3*time.Second, true)
	if err != nil {
		return err
	}
	errant, err := judge.Errant(status, peer, r.a.env.PairUID, epoch)
	if err != nil {
		return err
	}
	if r.a.present() != self {
		return errors.New("mysqld was restarted while its transactions were compared")
	}
	found := judge.Compare(r.a.state.lastComparison(), errant, self, peer)
	r.a.state.hasCompared(found)
	if errant, err = gtid.Parse(found.Errant); err != nil {
		return err
	}
	if !errant.IsEmpty() {
		r.a.state.problem(agentapi.ProblemErrant, fmt.Sprintf(
			"this member has %d transactions that the primary lacks, such as %.200s; it does not replicate until it is rewound or seeded again",
			errant.Count(), errant))
		return errErrant
	}
	r.a.state.resolve(agentapi.ProblemErrant)
	return nil
}

// passwordIsDue: the channel logs in with a former password, and the primary has the new
// one already. Not earlier: a receiver that is turned away acknowledges nothing, and the
// change of the password would wait for it, which blocks every login meanwhile.
func (r *replication) passwordIsDue(status mysqlops.Status) bool {
	revision := r.a.settings.passwordsRevision()
	if r.worksWith() == revision {
		return false
	}
	const accessDenied = 1045
	peer, _ := r.a.peer.last()
	return status.Channel.ReceiverError.Number == accessDenied ||
		(peer != nil && peer.Server != nil && peer.Server.PasswordsRevision == revision)
}

// connect points the channel at the peer and starts it.
func (r *replication) connect(ctx context.Context, rotated bool) error {
	r.setEnded("")
	revision := r.a.settings.passwordsRevision()
	host, port, err := r.a.peerAdmin()
	if err != nil {
		return err
	}
	_, err = r.a.ops.ConfigureChannel(ctx, mysqlops.Source{
		Host:     host,
		Port:     port,
		User:     mysqlops.UserReplication,
		Password: r.a.settings.password(agentapi.PasswordFileReplication),
		TLS:      r.a.certs.files(),
	}, rotated)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		r.a.ops.StartApplier,
		func(ctx context.Context) error { return r.a.ops.SetReplicaAcknowledges(ctx, true) },
		func(ctx context.Context) error {
			r.a.failures.at(failBeforeReceiver)
			return r.a.ops.StartReceiver(ctx)
		},
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.password = revision
	r.mu.Unlock()
	r.a.log.Info("receiver started", "source", host)
	return nil
}

// leadPeer keeps the reverse channel, which opens only towards a member that is closed
// at this epoch, has no waiting commit, and has nothing that is not here (4.7).
func (r *replication) leadPeer(ctx context.Context, epoch pair.Epoch, status mysqlops.Status) error {
	peer, silent := r.a.peer.last()
	if peer == nil || silent > 5*time.Second {
		return nil
	}
	key := r.key(orderLead, epoch, peer.Mysqld.Incarnation)
	running := status.Channel.Receiver != mysqlops.ReceiverStopped && status.Channel.Configured
	due := r.worksWith() != r.a.settings.passwordsRevision() && r.a.state.passwords() == r.a.settings.passwordsRevision()
	if r.cleared == key && running && !due {
		return nil
	}
	if running {
		if err := r.a.ops.StopReceiver(ctx); err != nil {
			return err
		}
	}
	peer, err := r.a.peer.ask(ctx, 3*time.Second, true)
	if err != nil {
		return err
	}
	status, err = r.a.ops.Status(ctx)
	if err != nil {
		return err
	}
	if err := (judge.Reverse{
		PairUID: r.a.env.PairUID,
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

// worksWith is the revision of the passwords that the channel logs in with.
func (r *replication) worksWith() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.password
}

func (r *replication) key(o order, epoch pair.Epoch, peer pair.Incarnation) string {
	r.a.mysqld.mu.Lock()
	defer r.a.mysqld.mu.Unlock()
	return fmt.Sprintf("%s/%d/%s/%s", o, epoch, r.a.mysqld.child.incarnation, peer)
}

// peerAdmin is where the peer's mysqld answers replication and clones.
func (a *Agent) peerAdmin() (string, int, error) {
	if a.opt.PeerAdmin == "" {
		return a.settings.get().Host(a.env.Peer), pair.PortAdmin, nil
	}
	host, text, err := net.SplitHostPort(a.opt.PeerAdmin)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(text)
	return host, port, err
}
