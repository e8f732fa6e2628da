package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/repair"
)

// Options of a Job's process. The zero values of ports and times are those of a pod.
type Options struct {
	// ConfigMaps of the Job's namespace, and the name of its own.
	ConfigMaps ConfigMaps
	Name       string
	// Request is what is to be done.
	Request jobapi.Request
	Dirs    Dirs
	// AdminPort and AgentPort of the members.
	AdminPort, AgentPort int
	// Every is the time between two reports of progress.
	Every time.Duration
	Now   func() time.Time
	Log   logr.Logger
}

func (o Options) withDefaults() Options {
	if o.Dirs == (Dirs{}) {
		o.Dirs = Dirs{TLS: jobapi.TLSDir, Passwords: agentapi.InternalDir}
	}
	if o.AdminPort == 0 {
		o.AdminPort = pair.PortAdmin
	}
	if o.AgentPort == 0 {
		o.AgentPort = pair.PortAgent
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// ErrPermanent is wrapped by the error of a Job that would fail again the same way.
var ErrPermanent = errors.New("another attempt would not help")

// Run does what the request asks for and blocks until that is done or ctx ends. When
// ctx ends it writes down where it is first. It may be called again after any end: what
// was done is not done again.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	b := board{api: o.ConfigMaps, name: o.Name}
	found, err := b.read(ctx)
	if err != nil {
		return err
	}
	if found.done {
		return nil
	}
	w := &work{
		Options: o,
		board:   b,
		request: o.Request,
		members: members{
			request: o.Request,
			dir:     o.Dirs,
			port:    o.AdminPort,
			agent:   o.AgentPort,
		},
	}
	w.progress.Attempts = found.progress.Attempts + 1
	w.progress.Beat = found.progress.Beat
	if len(found.state) > 0 {
		resume := &checksum.State{}
		if err := json.Unmarshal(found.state, resume); err == nil {
			w.resume = resume
			w.state = resume
		}
	}
	o.Log.Info("job begins", "operation", w.request.Operation, "kind", w.request.Kind, "attempt", w.progress.Attempts,
		"resumes", w.resume != nil)
	return w.run(ctx)
}

// work is one run of the process.
type work struct {
	Options
	board   board
	request jobapi.Request
	members members
	resume  *checksum.State

	mu       sync.Mutex
	progress jobapi.Progress
	state    *checksum.State // newest; nil for none
	pace     pace
}

// run reports progress beside the work and the result after it.
func (w *work) run(ctx context.Context) error {
	reporting, stop := context.WithCancel(ctx)
	var reporter sync.WaitGroup
	reporter.Go(func() { w.report(reporting) })
	var result jobapi.Result
	var report any
	var err error
	switch w.request.Kind {
	case jobapi.Checksum:
		result, report, err = w.compare(ctx)
	case jobapi.Repair:
		result, report, err = w.mend(ctx)
	default:
		err = fmt.Errorf("%w: this version knows no job of kind %q", ErrPermanent, w.request.Kind)
	}
	stop()
	reporter.Wait()
	// Whatever ended the work, what is known by now is written down.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	if errors.Is(err, checksum.ErrRolesChanged) {
		result = jobapi.Result{Outcome: jobapi.RolesChanged, Message: err.Error()}
	} else if errors.Is(err, ErrPermanent) || errors.Is(err, checksum.ErrBadRequest) {
		result = jobapi.Result{Outcome: jobapi.Failed, Message: clip(err.Error(), 1000)}
	}
	if result.Outcome == "" {
		w.note(err)
		return errors.Join(err, w.board.write(last, w.newest(true)))
	}
	result.Asked = w.request.Asked()
	c := w.newest(false)
	c.result = &result
	c.report = report
	w.Log.Info("job ends", "operation", w.request.Operation, "outcome", result.Outcome, "message", result.Message)
	if werr := w.board.write(last, c); werr != nil {
		return errors.Join(err, werr)
	}
	if err != nil { // it would fail again
		return fmt.Errorf("%w: %s", ErrPermanent, result.Message)
	}
	return nil
}

// stateEvery is how many reports of progress go without the state, which is larger.
const stateEvery = 5

func (w *work) report(ctx context.Context) {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for round := 0; ; round++ {
		if err := w.board.write(ctx, w.newest(round%stateEvery == stateEvery-1)); err != nil && ctx.Err() == nil {
			w.Log.Error(err, "progress was not reported")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// newest is what there is to report now.
func (w *work) newest(withState bool) change {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Beat++
	p := w.progress
	c := change{progress: &p}
	if withState && w.state != nil && w.request.Kind == jobapi.Checksum {
		c.state = *w.state
	}
	return c
}

// saw takes new progress over.
func (w *work) saw(p jobapi.Progress, s *checksum.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pace.began.IsZero() {
		w.pace = pace{began: w.Now(), rows: p.Rows}
	}
	p.Attempts = w.progress.Attempts
	p.Beat = w.progress.Beat
	rate, remaining := w.pace.of(w.Now(), p.Rows, p.RowsTotal)
	p.RowsPerSecond = rate
	if remaining > 0 {
		p.Remaining = &metav1.Duration{Duration: remaining}
	}
	w.progress = p
	w.state = s
}

func (w *work) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.progress.Note = clip(err.Error(), 500)
	}
}

const (
	// attempts in one process when sessions are lost, as happens when a member restarts.
	attempts = 6
	firstGap = 2 * time.Second
)

// compare is a Job of kind Checksum.
func (w *work) compare(ctx context.Context) (jobapi.Result, any, error) {
	o, err := w.options()
	if err != nil {
		return jobapi.Result{}, nil, err
	}
	var report checksum.Report
	err = w.persist(ctx, func() (err error) {
		report, err = checksum.Run(ctx, o)
		w.mu.Lock()
		o.Resume = w.state
		w.mu.Unlock()
		return err
	})
	if err != nil {
		return jobapi.Result{}, nil, err
	}
	return checksumResult(report), report, nil
}

// persist does what a member's restart may interrupt again, a few times.
func (w *work) persist(ctx context.Context, do func() error) error {
	gap := firstGap
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil {
			return nil
		}
		again := errors.Is(err, checksum.ErrSessionLost) || errors.Is(err, checksum.ErrNotReplicating)
		if !again || attempt == attempts || ctx.Err() != nil {
			return err
		}
		w.Log.Info("going on after a pause", "reason", err.Error(), "pause", gap)
		w.note(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(gap):
		}
		gap *= 2
	}
}

func (w *work) options() (checksum.Options, error) {
	primary, err := w.members.endpoint(w.request.Primary, mysqlops.UserChecksum, agentapi.PasswordFileChecksum)
	if err != nil {
		return checksum.Options{}, err
	}
	passive, err := w.members.endpoint(w.request.Passive, mysqlops.UserChecksum, agentapi.PasswordFileChecksum)
	if err != nil {
		return checksum.Options{}, err
	}
	o := checksum.Options{
		Primary:     primary,
		Passive:     passive,
		Include:     w.request.Include,
		Exclude:     w.request.Exclude,
		Values:      w.request.WithValues,
		Parallelism: w.request.Parallelism,
		MaxLockTime: w.request.MaxLockTime,
		Throttle:    checksum.Throttle{MaxLag: w.request.MaxLag, BusyShare: w.request.BusyShare},
		Resume:      w.resume,
		Save:        func(s checksum.State) { w.saw(progressOf(s), &s) },
		Now:         w.Now,
		Log:         w.Log,
	}
	if t := w.request.Table; t != nil {
		o.Table = &checksum.TableName{Schema: t.Schema, Name: t.Name}
		o.SkipSchemaDrift = true
	}
	return o, nil
}

// mend is a Job of kind Repair.
func (w *work) mend(ctx context.Context) (jobapi.Result, any, error) {
	if w.request.Table == nil {
		return jobapi.Result{}, nil, fmt.Errorf("%w: a repair without a table", ErrPermanent)
	}
	base, err := w.options()
	if err != nil {
		return jobapi.Result{}, nil, err
	}
	writer, err := w.members.endpoint(w.request.Primary, mysqlops.UserRepair, agentapi.PasswordFileRepair)
	if err != nil {
		return jobapi.Result{}, nil, err
	}
	passive := w.members.client(w.request.Passive)
	o := repair.Options{
		Primary:           base.Primary,
		Passive:           base.Passive,
		Writer:            writer,
		Table:             *base.Table,
		DryRun:            w.request.DryRun,
		IdempotentApplier: idempotentApplier{w.members, passive},
		Saver:             saver{w.members, passive},
		Parallelism:       base.Parallelism,
		MaxLockTime:       base.MaxLockTime,
		Throttle:          base.Throttle,
		Progress:          func(p repair.Progress) { w.saw(repairProgress(p), nil) },
		Now:               w.Now,
		Log:               w.Log,
	}
	if !o.DryRun {
		giveBack, err := w.members.mayWrite(ctx, w.Log)
		if err != nil {
			return jobapi.Result{}, nil, err
		}
		defer giveBack()
	}
	began := w.Now()
	var report repair.Report
	err = w.persist(ctx, func() (err error) {
		report, err = repair.Run(ctx, o)
		return err
	})
	if err != nil {
		return jobapi.Result{}, nil, err
	}
	return repairResult(report, w.Now().Sub(began)), report, nil
}
