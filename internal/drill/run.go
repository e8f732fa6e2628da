package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const (
	// pulse is the time between two looks at the shared directory.
	pulse = 200 * time.Millisecond
	// reportEvery is the time between two reports.
	reportEvery = time.Second
)

// errStopped: the other container wants nothing more.
var errStopped = errors.New("the drill was given up")

// Options are what Run works with.
type Options struct {
	// Shared with the container that serves the backup.
	Shared Shared
	// Volume is the directory of the data.
	Volume string
	// Mysqld is the program.
	Mysqld string
	// Config is the pair's: the copy runs with the settings and the plugins of its members.
	Config agentapi.Config
	// MemoryBytes is the limit of the container; 0 for none.
	MemoryBytes int64
	// Log takes what mysqld says.
	Log io.Writer
}

// Run waits for a plan and restores what that says. It blocks until its end is reported, until the other
// container wants nothing more, which is no error, or until ctx ends. Whatever it finds is in its report, and
// is no error either.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() { watchStop(ctx, o.Shared, cancel) })
	r := &run{options: o}
	r.report.Step = StepPrepare
	err := r.reported(ctx)
	if errors.Is(context.Cause(ctx), errStopped) {
		return nil
	}
	return err
}

// watchStop ends the drill when the other container wants it.
func watchStop(ctx context.Context, shared Shared, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if shared.stopped() {
			cancel(errStopped)
			return
		}
		_ = pause(ctx, pulse)
	}
}

// run is one drill.
type run struct {
	options Options

	mu     sync.Mutex
	report Report
}

// reported runs the drill beside the reports of it.
func (r *run) reported(ctx context.Context) error {
	plan, err := r.await(ctx)
	if err != nil {
		return err
	}
	reporting, stop := context.WithCancel(ctx)
	var reporter sync.WaitGroup
	reporter.Go(func() { r.keepReporting(reporting) })
	err = r.restore(ctx, plan)
	stop()
	reporter.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.end(err)
}

// await waits for the plan, and says meanwhile that this container is there.
func (r *run) await(ctx context.Context) (Plan, error) {
	if err := r.write(); err != nil {
		return Plan{}, err
	}
	for {
		plan, found, err := r.options.Shared.plan()
		if found || err != nil {
			return plan, err
		}
		if err := pause(ctx, pulse); err != nil {
			return Plan{}, context.Cause(ctx)
		}
	}
}

// keepReporting writes the report again and again. One that cannot be written is left out.
func (r *run) keepReporting(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.write(); err != nil {
			fmt.Fprintln(r.options.Log, err)
		}
		_ = pause(ctx, reportEvery)
	}
}

func (r *run) write() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Beat++
	return r.options.Shared.writeJSON(reportFile, r.report)
}

// end writes the last report.
func (r *run) end(err error) error {
	r.mu.Lock()
	r.report.Ended = true
	r.report.Note = ""
	if err != nil {
		r.report.Error = err.Error()
		r.report.NoRoom = errors.Is(err, errNoRoom)
		r.report.ForGood = lasting(err)
	}
	r.mu.Unlock()
	return r.write()
}

// lasting errors are those of the data: another attempt would come to the same.
func lasting(err error) bool {
	for _, one := range []error{
		errNoRoom,
		errOtherGTIDs,
		mysqlops.ErrTableDamaged,
		mysqlops.ErrDonorEngines,
		mysqlops.ErrApplier,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// step begins a step and returns what ends it.
func (r *run) step(s Step) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Step = s
	r.report.Note = ""
	begun := time.Now()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		took := map[Step]time.Duration{s: time.Since(begun)}
		for other, its := range r.report.Took {
			took[other] = its
		}
		r.report.Took = took
	}
}

func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Note = fmt.Sprintf(format, args...)
}

// found changes what is known.
func (r *run) found(change func(*Found)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.report.Found)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
