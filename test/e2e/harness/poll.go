package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// PollInterval is how often conditions are looked at.
const PollInterval = 200 * time.Millisecond

// errNotYet marks what a poll waits for.
type errNotYet struct{ why string }

func (e errNotYet) Error() string { return e.why }

// Patience is how long a test waits for what has to come. It says nothing about how quick
// that should be, which the benchmarks measure: a wait that ends well costs no more for a
// long deadline, and machines are busy at times.
const Patience = 5 * time.Minute

// NotYet is what the check of a poll returns to be asked again.
func NotYet(format string, args ...any) error { return errNotYet{fmt.Sprintf(format, args...)} }

// Eventually asks until the check returns nil, at most for d. Errors other than NotYet
// are asked again too: an API server that is away is what some tests are about. The
// error it returns in the end holds the last answer.
func Eventually(ctx context.Context, d time.Duration, what string, check func(context.Context) error) error {
	return EventuallyEvery(ctx, PollInterval, d, what, check)
}

// EventuallyEvery is Eventually with another interval.
func EventuallyEvery(ctx context.Context, interval, d time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	begin := time.Now()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		// What the client itself says at the deadline would hide the last answer.
		if last == nil || (ctx.Err() == nil && !strings.Contains(err.Error(), "would exceed context deadline")) {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, time.Since(begin).Round(time.Second), last)
		case <-ticker.C:
		}
	}
}

// Consistently asks for the whole of d and returns the first error. NotYet counts as an
// error.
func Consistently(ctx context.Context, d time.Duration, what string, check func(context.Context) error) error {
	end := time.NewTimer(d)
	defer end.Stop()
	ticker := time.NewTicker(PollInterval)
	defer ticker.Stop()
	for {
		if err := check(ctx); err != nil {
			return fmt.Errorf("%s: did not last: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("%s: broken off", what))
		case <-end.C:
			return nil
		case <-ticker.C:
		}
	}
}
