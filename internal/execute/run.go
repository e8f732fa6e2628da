package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

// Runner runs steps for one pair. Make it with all fields set but the optional ones.
type Runner struct {
	Effects Effects
	Clock   Clock
	// Book is where what is heard goes; the same one that observations carry.
	Book *fencing.Book
	// NewID makes a random request id.
	NewID func() string
	// Failpoint is called at each named point; an error ends the step there as a crash
	// would. Optional.
	Failpoint func(point string) error
	// Together runs independent steps; one after the other when nil.
	Together func(steps []func() error) error
	Log      logr.Logger
}

// Result is what a step came to.
type Result struct {
	// Changed: an effect was caused, so that looking again at once is worth while.
	Changed bool
	// Pending says what the step still waits for; empty when it is done.
	Pending string
	// Errant is what a comparison found in a member's binlog that the holder's has not;
	// nil when nothing was compared, an empty GTIDs when nothing was found.
	Errant map[pair.MemberName]failover.Errant
	// Wrote is the record after a change of the authority; nil without one.
	Wrote        *authority.Record
	WroteVersion string
	// Parts are the steps of a Together or InOrder, each with what it came to.
	Parts []Part
}

// Part is one of several steps that were executed together.
type Part struct {
	Step    failover.Step
	At      time.Time
	Took    time.Duration
	Pending string
}

// Run executes one step. It blocks for as long as the effects do; ctx bounds it. An
// error that wraps ErrConflict means: look again.
func (r *Runner) Run(ctx context.Context, o failover.Observation, p failover.Plan, step failover.Step) (Result, error) {
	begin := r.Clock.Now()
	r.Log.V(1).Info("executing a step", "pair", o.Settings.Name, "rule", p.Rule, "step", step.Name(), "epoch", o.Authority.Record.Epoch)
	if err := r.point("Before" + string(step.Name())); err != nil {
		return Result{}, err
	}
	bounded, cancel := within(ctx, p, step)
	defer cancel()
	res, err := r.dispatch(bounded, o, step)
	if err != nil {
		if res.Wrote != nil && !errors.Is(err, ErrCrash) {
			// The authority has changed, whatever failed beside that.
			r.record(ctx, p, step, res, begin)
		}
		return res, fmt.Errorf("step %s of %s: %w", step.Name(), o.Settings.Name, err)
	}
	if err := r.point("After" + string(step.Name())); err != nil {
		return res, err
	}
	r.record(ctx, p, step, res, begin)
	return res, nil
}

type patienceKey struct{}

// Patience is how long the questions of this step may take at most; false without a
// bound. The context has the same deadline.
func Patience(ctx context.Context) (time.Duration, bool) {
	d, ok := ctx.Value(patienceKey{}).(time.Duration)
	return d, ok
}

// within bounds questions to agents by the instant at which the plan expects something
// else: an agent that does not answer must not hold up an expiry that comes meanwhile.
func within(ctx context.Context, p failover.Plan, step failover.Step) (context.Context, context.CancelFunc) {
	const least = 100 * time.Millisecond
	asks := false
	switch step.(type) {
	case failover.Together, failover.Fence, failover.Cease:
		asks = true
	}
	if p.After <= 0 || !asks {
		return ctx, func() {}
	}
	d := max(p.After, least)
	return context.WithTimeout(context.WithValue(ctx, patienceKey{}, d), d)
}

func (r *Runner) point(name string) error {
	if r.Failpoint == nil {
		return nil
	}
	return r.Failpoint(name)
}

// record keeps the operation's report. It comes after the effect, so that the report
// never delays a failover, and its failure is only logged.
func (r *Runner) record(ctx context.Context, p failover.Plan, step failover.Step, res Result, begin time.Time) {
	if p.Operation == nil || r.Effects.Recorder == nil {
		return
	}
	if _, notes := step.(failover.NoteOperation); !notes {
		if err := r.Effects.Recorder.Operation(ctx, *p.Operation); err != nil {
			r.Log.Error(err, "the operation was not recorded", "operation", p.Operation.Name)
			return
		}
	}
	parts := res.Parts
	if len(parts) == 0 {
		parts = []Part{{
			Step:    step,
			At:      begin,
			Took:    r.Clock.Now().Sub(begin),
			Pending: res.Pending,
		}}
	}
	for _, part := range parts {
		if err := r.Effects.Recorder.Timeline(ctx, p.Operation.Name, part.entry()); err != nil {
			r.Log.Error(err, "the timeline was not recorded", "operation", p.Operation.Name)
		}
	}
}

func (r *Runner) dispatch(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	switch s := step.(type) {
	case failover.CreateAuthority, failover.ChangeAuthority, failover.BeginJoining, failover.ConcludeJoining, failover.GiveUpData:
		return r.writeAuthority(ctx, o, step)
	case failover.ReadLease:
		return r.look(ctx, o, s)
	case failover.Hold:
		return r.hold(ctx, o, s)
	case failover.ReleaseHeld:
		return r.releaseHeld(ctx, o, s)
	case failover.Initialize, failover.Seed, failover.Rewind:
		return r.copyData(ctx, o, step)
	case failover.Discard:
		return r.discard(ctx, o, s)
	case failover.Drain:
		return r.drain(ctx, o, s)
	case failover.Fence, failover.Cease, failover.AckFence:
		return r.ask(ctx, o, step)
	case failover.ProvePod, failover.ProveNode, failover.AdminConfirmation:
		return r.prove(ctx, o, step)
	case failover.DeletePod, failover.AddFinalizer, failover.RemoveFinalizer, failover.LabelPod, failover.ScaleDown:
		return r.pods(ctx, step)
	case failover.PointService, failover.DetachService:
		return r.services(ctx, step)
	case failover.NoteOperation:
		return Result{Changed: true}, r.Effects.Recorder.Operation(ctx, s.Note)
	case failover.Together:
		return r.together(ctx, o, s)
	case failover.InOrder:
		return r.inOrder(ctx, o, s)
	}
	return Result{}, fmt.Errorf("no such step: %T", step)
}

// writeAuthority runs the steps that write the Lease, at once or after a question to the members.
func (r *Runner) writeAuthority(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	switch s := step.(type) {
	case failover.CreateAuthority:
		return r.create(ctx, s)
	case failover.ChangeAuthority:
		return r.change(ctx, s)
	case failover.BeginJoining:
		return r.beginJoining(ctx, o, s)
	case failover.ConcludeJoining:
		return r.concludeJoining(ctx, o, s)
	case failover.GiveUpData:
		return r.giveUpData(ctx, o, s)
	}
	return Result{}, fmt.Errorf("no step that writes the authority: %T", step)
}

func (r *Runner) together(ctx context.Context, o failover.Observation, t failover.Together) (Result, error) {
	var funcs []func() error
	results := make([]Result, len(t.Steps))
	for i, step := range t.Steps {
		funcs = append(funcs, func() error {
			var err error
			results[i], err = r.part(ctx, o, step)
			return err
		})
	}
	run := r.Together
	if run == nil {
		run = oneByOne
	}
	err := run(funcs)
	return joinedResults(results), err
}

// inOrder runs one after the other and stops at the first that fails. What follows a change of
// the authority goes by the record that was written.
func (r *Runner) inOrder(ctx context.Context, o failover.Observation, s failover.InOrder) (Result, error) {
	var results []Result
	for _, step := range s.Steps {
		res, err := r.part(ctx, o, step)
		results = append(results, res)
		if err != nil {
			return joinedResults(results), err
		}
		if res.Wrote != nil {
			o.Authority.Record = *res.Wrote
			o.Authority.Version = res.WroteVersion
		}
	}
	return joinedResults(results), nil
}

// part runs one of several steps.
func (r *Runner) part(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	if err := r.point("Before" + string(step.Name())); err != nil {
		return Result{}, err
	}
	begin := r.Clock.Now()
	res, err := r.dispatch(ctx, o, step)
	if len(res.Parts) == 0 {
		res.Parts = []Part{{
			Step:    step,
			At:      begin,
			Took:    r.Clock.Now().Sub(begin),
			Pending: res.Pending,
		}}
	}
	if err != nil {
		return res, fmt.Errorf("%s: %w", step.Name(), err)
	}
	return res, nil
}

func joinedResults(results []Result) Result {
	var out Result
	for _, res := range results {
		out.Parts = append(out.Parts, res.Parts...)
		out.Changed = out.Changed || res.Changed
		if res.Wrote != nil {
			out.Wrote = res.Wrote
			out.WroteVersion = res.WroteVersion
		}
		if res.Pending != "" {
			out.Pending = res.Pending
		}
	}
	return out
}

// oneByOne runs all, whatever becomes of one, but stops where a failpoint crashed.
func oneByOne(steps []func() error) error {
	var errs []error
	for _, f := range steps {
		err := f()
		errs = append(errs, err)
		if errors.Is(err, ErrCrash) {
			break
		}
	}
	return errors.Join(errs...)
}

// ErrCrash is what a failpoint returns to end the operator there.
var ErrCrash = errors.New("crashed at a failpoint")

func (r *Runner) command(o failover.Observation) agentapi.Command {
	rec := o.Authority.Record
	return agentapi.Command{
		PairUID:       o.Settings.UID,
		Epoch:         rec.Epoch,
		LedgerVersion: rec.Ledger.Version,
		RequestID:     r.NewID(),
		Signed:        rec.Signed,
	}
}

func (r *Runner) create(ctx context.Context, s failover.CreateAuthority) (Result, error) {
	version, err := r.Effects.Authority.Create(ctx, s.Record)
	if err != nil {
		return Result{}, fmt.Errorf("create the authority: %w", err)
	}
	r.Book.SawEpoch(s.Record.Epoch, r.Clock.Now())
	return Result{
		Changed:      true,
		Wrote:        &s.Record,
		WroteVersion: version,
	}, nil
}

// change applies the change to the record that was observed and writes it on condition
// that it is still the one there.
func (r *Runner) change(ctx context.Context, s failover.ChangeAuthority) (Result, error) {
	next, err := s.Change.Apply(s.From)
	if err != nil {
		return Result{}, err
	}
	version, err := r.Effects.Authority.Write(ctx, next, s.Version)
	if err != nil {
		return Result{}, fmt.Errorf("write the authority (%s): %w", s.Change.Name(), err)
	}
	if err := r.point("Wrote" + string(s.Change.Name())); err != nil {
		return Result{}, err
	}
	r.Book.SawEpoch(next.Epoch, r.Clock.Now())
	return Result{
		Changed:      true,
		Wrote:        &next,
		WroteVersion: version,
	}, nil
}

// look has an agent read the authority now rather than at its next turn. It answers when it
// has; one that does not is pending, since nothing depends on it.
func (r *Runner) look(ctx context.Context, o failover.Observation, s failover.ReadLease) (Result, error) {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := r.Effects.Fencers.ReadLease(ctx, subjectOf(o, s.Member), r.command(o))
	if err != nil && !errors.Is(err, ErrCrash) {
		return Result{Pending: fmt.Sprintf("%s did not look: %v", s.Member, err)}, nil
	}
	return Result{Changed: err == nil}, err
}

func (r *Runner) pods(ctx context.Context, step failover.Step) (Result, error) {
	var err error
	switch s := step.(type) {
	case failover.DeletePod:
		err = r.Effects.Pods.Delete(ctx, s.Subject)
	case failover.AddFinalizer:
		err = r.Effects.Pods.AddFinalizer(ctx, s.Subject)
	case failover.RemoveFinalizer:
		err = r.Effects.Pods.RemoveFinalizer(ctx, s.Subject)
	case failover.LabelPod:
		err = r.Effects.Pods.Label(ctx, s.Subject, s.Set, s.Remove)
	case failover.ScaleDown:
		err = r.Effects.Pods.ScaleDown(ctx, s.Version)
	}
	return Result{Changed: err == nil}, err
}

func (r *Runner) copyData(ctx context.Context, o failover.Observation, step failover.Step) (Result, error) {
	c := r.command(o)
	var err error
	switch s := step.(type) {
	case failover.Initialize:
		err = r.Effects.Copiers.Initialize(ctx, subjectOf(o, s.Member), agentapi.InitializeCommand{Command: c, DataID: s.DataID})
	case failover.Seed:
		err = r.seed(ctx, o, s)
	case failover.Rewind:
		snap, e := r.Effects.Comparers.Snapshot(ctx, subjectOf(o, s.Holder), c)
		if e != nil {
			return Result{}, fmt.Errorf("snapshot of %s: %w", s.Holder, e)
		}
		if e := r.point("BetweenSnapshotAndRewind"); e != nil {
			return Result{}, e
		}
		err = r.Effects.Copiers.Rewind(ctx, subjectOf(o, s.Member), agentapi.RewindCommand{
			Command:     c,
			HolderGTIDs: snap.BinlogGTIDs,
			Target:      s.Target,
			KeepTail:    s.KeepTail,
		})
	}
	return Result{Changed: err == nil}, err
}

// seed asks a member to copy the donor, or the backup that is served.
func (r *Runner) seed(ctx context.Context, o failover.Observation, s failover.Seed) error {
	c := agentapi.SeedCommand{
		Command:   r.command(o),
		Donor:     s.Donor,
		DonorHost: r.Effects.DonorHost(s.Donor),
		Target:    s.Target,
		DataID:    s.DataID,
	}
	if s.OfABackup {
		backup, err := r.Effects.Backup(ctx)
		if err != nil {
			return fmt.Errorf("the backup that %s is to copy: %w", s.Member, err)
		}
		c.Backup = backup
	}
	return r.Effects.Copiers.Seed(ctx, subjectOf(o, s.Member), c)
}

// discard asks a member to give up what it cannot apply. One that does not answer in time goes
// on with it and is asked again; nothing else waits for it.
func (r *Runner) discard(ctx context.Context, o failover.Observation, s failover.Discard) (Result, error) {
	err := r.Effects.Copiers.Discard(ctx, s.Subject, agentapi.DiscardCommand{
		Command:   r.command(o),
		Operation: s.Operation,
		Target:    s.Target,
	})
	if err != nil && !errors.Is(err, ErrCrash) {
		return Result{Pending: fmt.Sprintf("%s has not discarded what it cannot apply: %v", s.Subject, err)}, nil
	}
	return Result{Changed: err == nil}, err
}

// subjectOf is the member's present pod as observed.
func subjectOf(o failover.Observation, m pair.MemberName) fencing.Subject {
	for _, member := range o.Members {
		if member.Name == m {
			return fencing.Subject{Member: m, PodUID: member.Pod.UID}
		}
	}
	return fencing.Subject{Member: m}
}

// parseSet reads a GTID set that an agent sent.
func parseSet(of, text string) (gtid.Set, error) {
	set, err := gtid.Parse(text)
	if err != nil {
		return gtid.Set{}, fmt.Errorf("GTIDs of %s: %w", of, err)
	}
	return set, nil
}
