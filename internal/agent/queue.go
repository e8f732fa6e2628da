package agent

import (
	"sync"

	"github.com/dbpair/dbpair/internal/authority"
)

// queue holds the events that the machine has not taken yet. Every part posts to it; the loop
// alone takes from it.
type queue struct {
	events chan authority.Event
	done   chan struct{} // closed by end
	ending sync.Once
}

func newQueue() *queue {
	return &queue{
		events: make(chan authority.Event, 256),
		done:   make(chan struct{}),
	}
}

// post hands an event to the loop. It blocks only if the loop is far behind.
func (q *queue) post(e authority.Event) {
	select {
	case q.events <- e:
	case <-q.done:
	}
}

// end closes done, after first, and does neither again.
func (q *queue) end(first func()) {
	q.ending.Do(func() {
		first()
		close(q.done)
	})
}

// answers hands what the machine answers to the caller that asked.
type answers struct {
	mu      sync.Mutex
	waiting map[string]chan authority.Action
}

// await registers for the answer of this id; deliver hands it over.
func (w *answers) await(id string) (answer <-chan authority.Action, forget func()) {
	ch := make(chan authority.Action, 1)
	w.mu.Lock()
	if w.waiting == nil {
		w.waiting = map[string]chan authority.Action{}
	}
	w.waiting[id] = ch
	w.mu.Unlock()
	return ch, func() {
		w.mu.Lock()
		delete(w.waiting, id)
		w.mu.Unlock()
	}
}

// deliver hands an answer over. It never blocks, and an answer that nobody awaits is dropped.
func (w *answers) deliver(id string, action authority.Action) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch := w.waiting[id]; ch != nil {
		ch <- action
		delete(w.waiting, id)
	}
}
