package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
)

// Later keeps records in their order but off the path of a failover: the next step does
// not wait until the last one is written down. The zero value is ready; safe for
// concurrent use.
type Later struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

// Do has f called after everything before it, and returns at once.
func (l *Later) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, f)
	if !l.running {
		l.running = true
		go l.drain()
	}
}

func (l *Later) drain() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		next()
	}
}

// Wait blocks until everything is written down or ctx ends.
func (l *Later) Wait(ctx context.Context) {
	done := make(chan struct{})
	l.Do(func() { close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// LaterRecorder is a recorder whose methods return at once. A record that fails is
// logged; a note of it comes again as long as the operation is not finished.
type LaterRecorder struct {
	Recorder Recorder
	Later    *Later
	Log      logr.Logger
}

var _ execute.Recorder = LaterRecorder{}

// recordTimeout bounds one record, so that a slow API server does not pile them up.
const recordTimeout = 15 * time.Second

// Operation implements execute.Recorder.
func (r LaterRecorder) Operation(ctx context.Context, n failover.OperationNote) error {
	r.record(ctx, n.Name, func(ctx context.Context) error { return r.Recorder.Operation(ctx, n) })
	return nil
}

// Timeline implements execute.Recorder.
func (r LaterRecorder) Timeline(ctx context.Context, operation string, e execute.TimelineEntry) error {
	r.record(ctx, operation, func(ctx context.Context) error { return r.Recorder.Timeline(ctx, operation, e) })
	return nil
}

func (r LaterRecorder) record(ctx context.Context, operation string, f func(context.Context) error) {
	ctx = context.WithoutCancel(ctx)
	r.Later.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		defer cancel()
		if err := f(ctx); err != nil {
			r.Log.Error(err, "the operation was not recorded", "operation", operation)
		}
	})
}
