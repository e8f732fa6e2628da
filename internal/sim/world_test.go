package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// event is something that will happen at an instant of true time.
type event struct {
	at  time.Duration
	seq uint64
	f   func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }

func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || (h[i].at == h[j].at && h[i].seq < h[j].seq)
}

func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *eventHeap) Push(x any) { *h = append(*h, x.(event)) }

func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// site is an end of the network.
type site int

const (
	site0 site = iota
	site1
	siteAPI
	siteOp0
	siteOp1
	siteOut // clients that run on no member's node
	sites
)

// world is one run.
type world struct {
	seed   uint64
	rng    *rand.Rand
	now    time.Duration
	seq    uint64
	events eventHeap
	cur    *proc
	ids    int

	set     scenario
	cut     [sites][sites]int
	api     *apiServer
	members [2]*memberSim
	ops     [2]*operator
	writers []*writer

	txns    []txnInfo
	must    bitset // acknowledged, or seen by a reader: has to be there forever
	forgave bitset // a person, or a double fault, gave these up
	// byForeign are those of them that only a foreign replica acknowledged: nobody can tell
	// them from a tail.
	byForeign bitset
	openAt    map[pair.Epoch]pair.MemberName
	// topEpoch is the highest epoch at which a member was open.
	topEpoch  pair.Epoch
	topMember int
	topHad    bitset
	ackedAt   time.Duration
	// gap is the longest time without an acknowledged write since the faults began.
	gap  time.Duration
	mute time.Duration // when the Service was last not detached from a pod that is gone, or nobody could help it
	acks int

	specs specs
	// hibernate is spec.hibernate, and heldBefore who was the primary when it was set last.
	hibernate    bool
	heldBefore   pair.MemberName
	stray        *stray
	armed        []fault
	lateCommands int
	resting      int    // nobody writes
	asked        answer // by a person, and not judged yet
	cachesStale  int    // caches bring nothing new
	// refused are the kinds of writes that the API server refuses.
	refused   map[string]int
	copiesDie int // a mysqld that copies data dies before it has finished

	async    bool // durability.mode was changed to Async
	vmPaused bool // a hypervisor stopped a machine in this run
	restored bool // etcd was restored in this run
	// forged is the version of a Lease whose ledger was modified externally; empty for none.
	forged    string
	blind     bool       // and the member that knew more could not be asked
	hostile   *memberSim // someone speaks for the agent of this member
	faultsEnd time.Duration
	violation string
	trace     bool
	log       []string
	fired     map[string]int // coverage
}

func newWorld(seed uint64, set scenario) *world {
	w := &world{
		seed:    seed,
		rng:     rand.New(rand.NewPCG(seed, 0x5eed)),
		set:     set,
		openAt:  map[pair.Epoch]pair.MemberName{},
		fired:   map[string]int{},
		refused: map[string]int{},
	}
	w.api = newAPI(w)
	for i := range w.members {
		w.members[i] = newMember(w, i)
	}
	for i := range w.ops {
		w.ops[i] = &operator{w: w, index: i, site: siteOp0 + site(i), rate: 1 + (w.rng.Float64()-0.5)*2*set.drift}
	}
	return w
}

func (w *world) after(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.events, event{at: w.now + max(d, 0), seq: w.seq, f: f})
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.violation == "" {
		e := heap.Pop(&w.events).(event)
		if e.at > until {
			heap.Push(&w.events, e)
			break
		}
		w.now = e.at
		e.f()
	}
	if w.violation == "" {
		w.now = until
	}
}

func (w *world) id(prefix string) string {
	w.ids++
	return fmt.Sprintf("%s%d", prefix, w.ids)
}

// between is a random duration.
func (w *world) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) tracef(format string, args ...any) {
	if w.trace {
		w.log = append(w.log, fmt.Sprintf("%9.3fs %s", w.now.Seconds(), fmt.Sprintf(format, args...)))
	}
}

func (w *world) violate(invariant, format string, args ...any) {
	if w.violation == "" {
		w.violation = invariant + ": " + fmt.Sprintf(format, args...)
		w.tracef("VIOLATION %s", w.violation)
	}
}

func (w *world) transcript() string { return strings.Join(w.log, "\n") }

// deliver takes a message over the network: lost when the way is cut at either end of it,
// late now and then.
func (w *world) deliver(from, to site, f func()) {
	if w.cut[from][to] > 0 {
		return
	}
	d := w.between(200*time.Microsecond, 3*time.Millisecond)
	if w.now < w.faultsEnd && w.chance(w.set.lateMessages) {
		// It comes late, and through: what was on its way when the way was cut.
		w.after(w.between(50*time.Millisecond, w.set.lateBy), f)
		return
	}
	w.after(d, func() {
		if w.cut[from][to] == 0 {
			f()
		}
	})
}
