package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/test/e2e/history"
)

// pollGap is how far apart two looks of the poller may be to speak of one span.
const pollGap = 500 * time.Millisecond

// Run is a pair with all its witnesses, through one load after the other. It keeps what
// they said in all of them, since a member's binlogs do too.
type Run struct {
	Pair     *Pair
	Clients  *Clients
	Recorder *Recorder
	// Frozen are the times in which a member's machine stood still, which the cases add.
	Frozen []history.Frozen
	// GivenUp says which acknowledged writes a person gave up by a verb that warns of it:
	// those have to be gone, and no others may. MustLose: there are some.
	GivenUp  func(history.Attempt) bool
	MustLose bool
	// LeaseDuration and SafetyMargin of the pair.
	LeaseDuration, SafetyMargin time.Duration

	endpoints *EndpointsWatch
	routes    *RouteWatch
	all       history.Report
}

// NewRun starts the witnesses of a pair that is ready. Close must be called.
func (p *Pair) NewRun(ctx context.Context) (*Run, error) {
	object, err := p.Object(ctx)
	if err != nil {
		return nil, err
	}
	authority := object.Spec.Authority
	run := &Run{
		Pair:          p,
		LeaseDuration: authority.LeaseDuration.Duration,
		SafetyMargin:  authority.SafetyMargin.Duration,
	}
	if run.Recorder, err = p.Record(ctx); err != nil {
		return nil, err
	}
	if run.Clients, err = p.StartClients(ctx); err != nil {
		run.Recorder.Stop()
		return nil, err
	}
	return run, nil
}

// Close ends the witnesses.
func (r *Run) Close() {
	r.Recorder.Stop()
	if r.endpoints != nil {
		_ = r.endpoints.Stop()
		r.endpoints = nil
	}
	if r.routes != nil {
		_ = r.routes.Stop()
		r.routes = nil
	}
}

// Load puts the pair under the load of some writers, each pausing between two writes,
// and returns when writes are acknowledged.
func (r *Run) Load(ctx context.Context, writers int, pause time.Duration) error {
	var err error
	if r.endpoints, err = r.Pair.WatchEndpoints(ctx); err != nil {
		return err
	}
	if r.routes, err = r.Pair.WatchRoutes(ctx); err != nil {
		return err
	}
	if err := r.Clients.Write(ctx, writers, pause); err != nil {
		return err
	}
	return r.Clients.AwaitAcks(ctx, Patience, 50)
}

// Result is what a load showed.
type Result struct {
	// Report of this load.
	Report history.Report
	// Acknowledged writes of this load.
	Acknowledged int
	// Gap is the longest time without an acknowledged write in this load.
	Gap history.Gap
	// Intervals of all loads.
	Intervals []history.Interval
	// NoEndpoint is the longest time in which the client Service was seen without an endpoint
	// though a member pod had an IP.
	NoEndpoint time.Duration
	// Moves are when the client Service was seen to lead to another mysqld, and Changes
	// when one of its EndpointSlices was seen to change.
	Moves, Changes []history.Stamp
}

// Demoted says that this pod stays after a planned switchover.
func (r *Run) Demoted(uid string) {
	if r.routes != nil {
		r.routes.Demoted(uid)
	}
}

// BothPodsGo says that the fault of this load takes both pods away at once, so that the Service
// leads nowhere for a moment.
func (r *Run) BothPodsGo() { r.endpoints.BothPodsGo() }

// Verify ends a load and compares all witnesses. The pair must be ready again, both
// members there. All defects are returned, not only the first.
func (r *Run) Verify(ctx context.Context) (Result, error) {
	var result Result
	defects := []error{r.endpoints.Stop(), r.routes.Stop()}
	result.Moves, result.Changes, result.NoEndpoint = r.routes.Moves(), r.endpoints.Changes(), r.endpoints.Longest()
	r.endpoints = nil
	r.routes = nil
	report, err := r.Clients.Stop(ctx)
	if err != nil {
		return result, errors.Join(append(defects, err)...)
	}
	result.Report = report
	r.all.Attempts = append(r.all.Attempts, report.Attempts...)
	r.all.Samples = append(r.all.Samples, report.Samples...)
	for _, a := range report.Attempts {
		if a.Acknowledged() {
			result.Acknowledged++
		}
	}
	defects = append(defects, r.checkRows(ctx))
	result.Intervals, err = r.Recorder.Intervals()
	defects = append(defects, err, r.checkOpen(result.Intervals), r.checkPoller(), r.checkBinlogs(ctx, result.Intervals))
	result.Gap, err = history.LongestGap(report.Attempts)
	return result, errors.Join(append(defects, err)...)
}

// checkRows: every acknowledged write is there, and both members have the same rows.
func (r *Run) checkRows(ctx context.Context) error {
	rows, err := r.Clients.Rows(ctx)
	if err != nil {
		return err
	}
	var errs []error
	lost, back := history.Judge(r.all.Attempts, rows, r.GivenUp)
	if len(lost) > 0 {
		errs = append(errs, fmt.Errorf("%d acknowledged writes are LOST, the first: %+v", len(lost), lost[0]))
	}
	if len(back) > 0 {
		errs = append(errs, fmt.Errorf("%d writes that were given up are there again, the first: %+v", len(back), back[0]))
	}
	if r.MustLose && len(history.Lost(r.all.Attempts, rows)) == 0 {
		errs = append(errs, errors.New("no acknowledged write was given up, so that nothing was tried"))
	}
	if phantoms := history.Phantoms(r.all.Attempts, rows); len(phantoms) > 0 {
		errs = append(errs, fmt.Errorf("%d rows that nobody sent, such as %+v", len(phantoms), phantoms[0]))
	}
	for _, ordinal := range []int{0, 1} {
		member := r.Pair.Members()[ordinal]
		err := Eventually(ctx, Patience, "rows of "+member, func(ctx context.Context) error {
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
func (r *Run) checkOpen(intervals []history.Interval) error {
	var errs []error
	for _, o := range history.Overlaps(intervals, r.Frozen) {
		errs = append(errs, fmt.Errorf("two members were OPEN: %w", o))
	}
	for _, i := range history.ClosedLate(intervals, r.LeaseDuration) {
		took := i.To.Sub(i.ConfirmedAt)
		if r.frozenIn(i) || (i.Why == whyExited && took <= r.LeaseDuration+r.SafetyMargin) {
			continue // the machine stood still past the end; the margin is for what a kill takes
		}
		errs = append(errs, fmt.Errorf("%s closed %s after its last confirmation, allowed %s (%s)",
			i.Member, took, r.LeaseDuration, i.Why))
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
func (r *Run) checkPoller() error {
	if len(r.all.Samples) == 0 {
		return errors.New("the poller saw nothing")
	}
	var errs []error
	members := r.Pair.Members()
	samples := slices.DeleteFunc(slices.Clone(r.all.Samples), func(s history.Sample) bool { return !slices.Contains(members[:], s.Member) })
	for _, o := range history.Overlaps(history.WritableSpans(samples, pollGap), nil) {
		errs = append(errs, fmt.Errorf("the poller saw two WRITABLE members: %w", o))
	}
	return errors.Join(errs...)
}

// checkBinlogs: the servers took turns, and no more often than members were opened.
func (r *Run) checkBinlogs(ctx context.Context, intervals []history.Interval) error {
	var commits []history.Commit
	for _, member := range r.Pair.Members() {
		list, err := r.Pair.Commits(ctx, member)
		if err != nil {
			return err
		}
		commits = append(commits, list...)
	}
	turns := history.TurnsOf(commits)
	return history.CheckTurns(turns, history.Turnovers(intervals)+1)
}
