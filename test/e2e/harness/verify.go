package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// pollGap is how far apart two looks of the poller may be to speak of one span.
const pollGap = 500 * time.Millisecond

// Run is a pair under load with all its witnesses.
type Run struct {
	Pair      *Pair
	Clients   *Clients
	Recorder  *Recorder
	Endpoints *EndpointsWatch
	// Began is when the load began; Frozen are the times in which a member's machine
	// stood still, which the case adds itself.
	Began  history.Stamp
	Frozen []history.Frozen
	// LeaseDuration of the pair.
	LeaseDuration time.Duration
}

// StartRun puts the pair, which must be ready, under the load of some writers.
func (p *Pair) StartRun(ctx context.Context, writers int, pause time.Duration) (*Run, error) {
	object, err := p.Object(ctx)
	if err != nil {
		return nil, err
	}
	run := &Run{Pair: p, LeaseDuration: object.Spec.Authority.LeaseDuration.Duration}
	if run.Recorder, err = p.Record(ctx); err != nil {
		return nil, err
	}
	if run.Clients, err = p.StartClients(ctx); err != nil {
		run.Recorder.Stop()
		return nil, err
	}
	if run.Endpoints, err = p.WatchEndpoints(ctx); err != nil {
		run.Recorder.Stop()
		return nil, err
	}
	run.Began = Now()
	if err := run.Clients.Write(ctx, writers, pause); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, run.Clients.AwaitAcks(ctx, 30*time.Second, 50)
}

// Close ends the witnesses of a run that is not verified.
func (r *Run) Close() error {
	r.Recorder.Stop()
	return r.Endpoints.Stop()
}

// Result is what a verified run showed.
type Result struct {
	Report       Report
	Acknowledged int
	Gap          history.Gap
	Intervals    []history.Interval
}

// Verify ends the run and compares all witnesses. The pair must be ready again, both
// members there. All defects are returned, not only the first.
func (r *Run) Verify(ctx context.Context) (Result, error) {
	var result Result
	endpointsErr := r.Endpoints.Stop()
	report, err := r.Clients.Stop(ctx)
	if err != nil {
		r.Recorder.Stop()
		return result, errors.Join(endpointsErr, err)
	}
	result.Report = report
	rowsErr := r.checkRows(ctx, &result)
	r.Recorder.Stop()
	result.Intervals, err = r.Recorder.Intervals()
	defects := []error{endpointsErr, rowsErr, err, r.checkOpen(&result), r.checkPoller(&result), r.checkBinlogs(ctx, &result)}
	result.Gap, err = history.LongestGap(report.Attempts)
	return result, errors.Join(append(defects, err)...)
}

// checkRows: every acknowledged write is there, and both members have the same rows.
func (r *Run) checkRows(ctx context.Context, result *Result) error {
	rows, err := r.Clients.Rows(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range result.Report.Attempts {
		if a.Acknowledged() {
			result.Acknowledged++
		}
	}
	if lost := history.Lost(result.Report.Attempts, rows); len(lost) > 0 {
		errs = append(errs, fmt.Errorf("%d of %d acknowledged writes are LOST, the first: %+v", len(lost), result.Acknowledged, lost[0]))
	}
	if phantoms := history.Phantoms(result.Report.Attempts, rows); len(phantoms) > 0 {
		errs = append(errs, fmt.Errorf("%d rows that nobody sent, such as %+v", len(phantoms), phantoms[0]))
	}
	for _, ordinal := range []int{0, 1} {
		member := r.Pair.Members()[ordinal]
		err := Eventually(ctx, 20*time.Second, "rows of "+member, func(ctx context.Context) error {
			out, err := r.Pair.SQL(ctx, member, "SELECT COUNT(*) FROM app.e2e_writes")
			if err != nil {
				return err
			}
			if out != fmt.Sprint(len(rows)) {
				return NotYet("%s rows, the Service shows %d", out, len(rows))
			}
			return nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkOpen: never two open, and none later than T after its last confirmation.
func (r *Run) checkOpen(result *Result) error {
	var errs []error
	for _, o := range history.Overlaps(result.Intervals, r.Frozen) {
		errs = append(errs, fmt.Errorf("two members were OPEN: %w", o))
	}
	for _, i := range history.ClosedLate(result.Intervals, r.LeaseDuration) {
		if r.frozenIn(i) {
			continue // the machine stood still past the end
		}
		errs = append(errs, fmt.Errorf("%s closed %s after its last confirmation, allowed %s (%s)",
			i.Member, i.To.Sub(i.ConfirmedAt), r.LeaseDuration, i.Why))
	}
	return errors.Join(errs...)
}

func (r *Run) frozenIn(i history.Interval) bool {
	for _, f := range r.Frozen {
		if f.Member == i.Member && f.From < i.To && i.From < f.To.Add(f.Grace) {
			return true
		}
	}
	return false
}

// checkPoller: an outsider never saw both writable at one time.
func (r *Run) checkPoller(result *Result) error {
	if len(result.Report.Samples) == 0 {
		return errors.New("the poller saw nothing")
	}
	var errs []error
	for _, o := range history.Overlaps(history.WritableSpans(result.Report.Samples, pollGap), nil) {
		errs = append(errs, fmt.Errorf("the poller saw two WRITABLE members: %w", o))
	}
	return errors.Join(errs...)
}

// checkBinlogs: the servers took turns, and no more often than members were opened.
func (r *Run) checkBinlogs(ctx context.Context, result *Result) error {
	var commits []history.Commit
	for _, member := range r.Pair.Members() {
		list, err := r.Pair.Commits(ctx, member)
		if err != nil {
			return err
		}
		commits = append(commits, list...)
	}
	turns := history.TurnsOf(commits)
	return history.CheckTurns(turns, history.Turnovers(result.Intervals)+1)
}
