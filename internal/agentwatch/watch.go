package agentwatch

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// Target is one agent: that of one pod of one member.
type Target struct {
	Pair    types.NamespacedName
	PairUID pair.UID
	Member  pair.MemberName
	PodUID  pair.PodUID
	// IP of the pod.
	IP string
	// Interval is how long an answer may take to come, and thus how soon silence is
	// noticed.
	Interval time.Duration
}

// Stater asks an agent for its state; *agentclient.Client is one.
type Stater interface {
	State(ctx context.Context, since int64, wait time.Duration, fresh bool) (agentapi.State, error)
}

// Facts are what is known of an agent. The State must not be changed.
type Facts struct {
	// Reach of the last attempt; NotTried before the end of the first.
	Reach failover.Reach
	// State is the newest answer; nil when this pod's agent never answered.
	State *agentapi.State
	// HeardAt is when the newest answer came.
	HeardAt time.Time
	// SilentSince is the end of the last successful attempt, or when the first attempt
	// began if none succeeded.
	SilentSince time.Time
	// Error of the last attempt; empty when it was answered.
	Error string
}

// Watcher watches the agents of all pairs. Make it with New. Safe for concurrent use.
type Watcher struct {
	dial   func(Target) Stater
	now    func() time.Time
	notify func(types.NamespacedName)

	mu     sync.Mutex
	pairs  map[types.NamespacedName]map[pair.MemberName]*watch
	closed bool
}

// New makes a watcher. dial makes the connection to an agent; notify is called, from any
// goroutine and without blocking, when something was heard that matters or an agent
// fell silent.
func New(dial func(Target) Stater, now func() time.Time, notify func(types.NamespacedName)) *Watcher {
	return &Watcher{
		dial:   dial,
		now:    now,
		notify: notify,
		pairs:  map[types.NamespacedName]map[pair.MemberName]*watch{},
	}
}

// watch is one goroutine's.
type watch struct {
	target Target
	cancel context.CancelFunc
	agent  Stater

	mu    sync.Mutex
	facts Facts
}

// Sync makes the agents that are watched for a pair these. An agent whose target is as
// before goes on being watched; the facts of the others are dropped. It does not block.
func (w *Watcher) Sync(ctx context.Context, name types.NamespacedName, targets []Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	old := w.pairs[name]
	next := make(map[pair.MemberName]*watch, len(targets))
	for _, t := range targets {
		if have := old[t.Member]; have != nil && have.target == t {
			next[t.Member] = have
			delete(old, t.Member)
			continue
		}
		next[t.Member] = w.start(ctx, t)
	}
	for _, gone := range old {
		gone.cancel()
	}
	if len(next) == 0 {
		delete(w.pairs, name)
		return
	}
	w.pairs[name] = next
}

// Forget ends the watches of a pair.
func (w *Watcher) Forget(name types.NamespacedName) {
	w.Sync(context.Background(), name, nil)
}

// Close ends all watches. None is begun afterwards.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, members := range w.pairs {
		for _, h := range members {
			h.cancel()
		}
	}
	w.pairs = nil
}

// Facts are those of the agent of this pod; the zero value when it is not watched.
func (w *Watcher) Facts(name types.NamespacedName, m pair.MemberName, uid pair.PodUID) Facts {
	w.mu.Lock()
	have := w.pairs[name][m]
	w.mu.Unlock()
	if have == nil || have.target.PodUID != uid {
		return Facts{}
	}
	have.mu.Lock()
	defer have.mu.Unlock()
	return have.facts
}

func (w *Watcher) start(ctx context.Context, t Target) *watch {
	// The watch outlives the reconcile that began it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	out := &watch{
		target: t,
		cancel: cancel,
		agent:  w.dial(t),
	}
	go w.run(ctx, out)
	return out
}

func (w *Watcher) run(ctx context.Context, h *watch) {
	var since int64
	quick := 0 // answers in a row that came at once
	for ctx.Err() == nil {
		begun := w.now()
		state, err := h.ask(ctx, since)
		if ctx.Err() != nil {
			return
		}
		if w.note(h, begun, state, err) {
			w.notify(h.target.Pair)
		}
		since = state.Revision
		if quick++; w.now().Sub(begun) >= pauseMin {
			quick = 0
		}
		pause := time.Duration(0)
		if err != nil || quick > quickMost {
			// A refused connection, or an agent that does not hold its answers back,
			// comes back at once; asking again as fast would cost a core. A failover is a
			// handful of news within half a second, and waits for each.
			pause = max(pauseMin, h.target.Interval/10)
		}
		if !rest(ctx, pause) {
			return
		}
	}
}

const (
	// pauseMin is the least time between two questions to one agent that answers at once
	// time after time.
	pauseMin = 50 * time.Millisecond
	// quickMost is how many answers in a row may come at once and be followed by the next
	// question without a pause.
	quickMost = 12
)

func (h *watch) ask(ctx context.Context, since int64) (agentapi.State, error) {
	wait := h.target.Interval
	if since == 0 {
		wait = 0
	}
	ctx, cancel := context.WithTimeout(ctx, wait+max(h.target.Interval, time.Second))
	defer cancel()
	state, err := h.agent.State(ctx, since, wait, false)
	if err == nil {
		err = identify(h.target, state)
	}
	if err != nil {
		return agentapi.State{}, err
	}
	return state, nil
}

// note keeps what an attempt came to and reports whether a reader should look now.
func (w *Watcher) note(h *watch, begun time.Time, state agentapi.State, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &h.facts
	before := *f
	if err != nil {
		f.Reach, f.Error = classify(err), err.Error()
		if f.SilentSince.IsZero() {
			f.SilentSince = begun
		}
		return before.Reach != f.Reach
	}
	now := w.now()
	*f = Facts{
		Reach:       failover.Answered,
		State:       &state,
		HeardAt:     now,
		SilentSince: now,
	}
	return before.Reach != failover.Answered || before.State == nil || before.State.Revision != state.Revision
}

// rest waits, or returns false when ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
