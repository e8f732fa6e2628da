package checksum

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// comparison is a run that stands still somewhere until it may go on, so that what
// is done meanwhile meets it at that place.
type comparison struct {
	// goOn may be called again.
	goOn func()

	w    *world
	done chan struct{}
	// These are there when done is closed.
	report Report
	err    error

	mu   sync.Mutex
	last State
}

// place is where a run stands, the first time that it is there.
type place func(o *Options, stand func())

// afterChunks is the end of a chunk of the large table, whose only lane waits.
func afterChunks(n int) place {
	return func(o *Options, stand func()) {
		save := o.Save
		o.Save = func(state State) {
			save(state)
			if chunksOfLarge(state) == n {
				stand()
			}
		}
	}
}

// atRow is in the middle of the chunk with that row, which differs. Unlike at the end of a
// chunk, what the run sees of the load is saved meanwhile.
func atRow(key string) place {
	return func(o *Options, stand func()) {
		o.OnRow = func(_ TableName, row Row) {
			if slices.Equal(row.Key, []string{key}) {
				stand()
			}
		}
	}
}

// stand begins a comparison and returns when it stands.
func (w *world) stand(at place, options Options) *comparison {
	w.Helper()
	stands := make(chan struct{})
	further := make(chan struct{})
	c := &comparison{w: w, goOn: sync.OnceFunc(func() { close(further) }), done: make(chan struct{})}
	options.Now = steps(2 * time.Second)
	options.MaxSnapshotAge = 24 * time.Hour // every chunk is saved
	options.Save = func(state State) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = state
	}
	at(&options, sync.OnceFunc(func() {
		close(stands)
		<-further
	}))
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(func() {
		cancel()
		c.goOn()
		<-c.done
	})
	go func() {
		defer close(c.done)
		c.report, c.err = Run(ctx, options)
	}()
	select {
	case <-stands:
	case <-c.done:
		w.Fatalf("it ended before it stood: %+v, %v", c.report, c.err)
	}
	return c
}

// state is what was saved last.
func (c *comparison) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// end has the run go on and returns when it has ended.
func (c *comparison) end() (Report, error) {
	c.w.Helper()
	c.goOn()
	c.await("the comparison ends", func() bool { return false })
	return c.report, c.err
}

// await returns when it is so, and when the run has ended: then that is what is to be looked at.
func (c *comparison) await(what string, fine func() bool) {
	c.w.Helper()
	mysqldtest.Await(c.w, what, func() bool { return isClosed(c.done) || fine() })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// logged returns a log, and what is closed once a line of it has the message.
func (w *world) logged(message string) (logr.Logger, <-chan struct{}) {
	seen := make(chan struct{})
	see := sync.OnceFunc(func() { close(seen) })
	return funcr.New(func(_, line string) {
		w.Log(line)
		if strings.Contains(line, message) {
			see()
		}
	}, funcr.Options{}), seen
}
