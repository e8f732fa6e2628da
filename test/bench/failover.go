package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

const (
	benchWriters = 8
	benchPause   = 5 * time.Millisecond
	benchSpec    = "failover: {maxPerHour: 60, initialDelay: 5s}"
	inPlaceSpec  = "failover: {mode: Manual, restartInPlaceAfter: 1s}"
	leftSpec     = "failover: {mode: Manual, restartInPlaceAfter: 30s}"
)

// measurement is one fault and what it is measured by.
type measurement struct {
	name   string
	runs   int
	spec   string
	inject func(context.Context, *harness.Pair, string) (heal func(context.Context) error, err error)
	// sameServer: the first write is that of the same member, restarted in place.
	sameServer bool
	// anyServer: the first write after the fault counts, of whichever member.
	anyServer bool
	// agentGone: the former primary's agent cannot be asked after the fault.
	agentGone bool
	// notReady: measured is until the pod is NotReady, which is what anything else in the
	// cluster would go by.
	notReady bool
}

// faults are what is measured, in the order of docs/benchmarks.md.
func faults(b *bench) []measurement {
	return []measurement{
		{
			name:   "mysqld killed → first acknowledged write",
			runs:   b.runs,
			spec:   benchSpec,
			inject: killMysqld,
		},
		{
			name:       "the same mysqld restarted in place (failover Manual) → first acknowledged write",
			runs:       min(b.runs, 5),
			spec:       inPlaceSpec,
			inject:     killMysqld,
			sameServer: true,
		},
		{
			name:       "mysqld killed, and nobody acts → its pod NotReady",
			runs:       min(b.runs, 5),
			spec:       leftSpec,
			inject:     killMysqld,
			sameServer: true,
			notReady:   true,
		},
		{
			name:      "both mysqlds killed → first acknowledged write",
			runs:      b.runs,
			spec:      benchSpec,
			inject:    killBothMysqlds,
			anyServer: true,
		},
		{
			name:   "pod of the primary ended by SIGTERM, not deleted → first acknowledged write",
			runs:   b.runs,
			spec:   benchSpec,
			inject: terminateAgent,
		},
		{
			name:   "pod of the primary deleted → first acknowledged write",
			runs:   b.runs,
			spec:   benchSpec,
			inject: deletePod,
		},
		{
			name:   "node of the primary drained → first acknowledged write",
			runs:   b.runs,
			spec:   benchSpec,
			inject: drainNode,
		},
		{
			name:      "node cut off → first acknowledged write",
			runs:      b.runs,
			spec:      benchSpec,
			inject:    cutNode,
			agentGone: true,
		},
		{
			name:      "node killed → first acknowledged write",
			runs:      b.runs,
			spec:      benchSpec,
			inject:    killNode,
			agentGone: true,
		},
	}
}

func failover(ctx context.Context, b *bench) error {
	values := map[string]series{}
	var names []string
	only, err := regexp.Compile(os.Getenv("BENCH_ONLY"))
	if err != nil {
		return fmt.Errorf("BENCH_ONLY: %w", err)
	}
	for _, m := range faults(b) {
		if !only.MatchString(m.name) {
			continue
		}
		gaps, err := b.measure(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		values[m.name] = gaps
		names = append(names, m.name)
		b.cleanUp()
	}
	if only.MatchString("idle") {
		if err := b.idle(ctx); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	fmt.Printf("\n%d writers, a pause of %s each.\n\n", benchWriters, benchPause)
	printSeries(names, values)
	return nil
}

func (b *bench) measure(ctx context.Context, m measurement) (series, error) {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	pair := b.Pair(namespace, "shop")
	if err := pair.Apply(ctx, m.spec); err != nil {
		return nil, err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return nil, err
	}
	run, err := pair.NewRun(ctx)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	var gaps series
	for n := range m.runs {
		gap, err := b.once(ctx, m, pair, run)
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", n+1, err)
		}
		fmt.Printf("%s, run %d: %s\n", m.name, n+1, gap.Round(time.Millisecond))
		gaps = append(gaps, gap)
	}
	return gaps, b.printTimeline(ctx, pair)
}

// once is one fault: from its stamp to the first write that was acknowledged after it.
// Every run is verified like an end-to-end case: a figure of a run that lost a write
// would be worth nothing.
func (b *bench) once(ctx context.Context, m measurement, pair *harness.Pair, run *harness.Run) (time.Duration, error) {
	if err := run.Load(ctx, benchWriters, benchPause); err != nil {
		return 0, err
	}
	if err := steady(ctx, run.Clients); err != nil {
		return 0, err
	}
	primary, err := pair.Primary(ctx)
	if err != nil {
		return 0, err
	}
	stats, err := run.Clients.Stats(ctx)
	if err != nil {
		return 0, err
	}
	former := stats.LastServer
	before, err := lastFailover(ctx, pair)
	if err != nil {
		return 0, err
	}
	pod, err := pair.Pod(ctx, primary)
	if err != nil {
		return 0, err
	}
	at := harness.Now()
	heal, err := m.inject(ctx, pair, primary)
	if err != nil {
		return 0, err
	}
	down := harness.Now()
	var withdrawn time.Duration
	if m.notReady {
		if err := b.untilNotReady(ctx, pod); err != nil {
			return 0, err
		}
		withdrawn = harness.Now().Sub(at)
	}
	if err := run.Clients.AwaitAcks(ctx, 2*time.Minute, 200); err != nil {
		return 0, err
	}
	if heal != nil {
		if err := heal(ctx); err != nil {
			return 0, err
		}
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return 0, err
	}
	result, err := run.Verify(ctx)
	if err != nil {
		return 0, err
	}
	if err := compareGap(ctx, pair, before, at, result, m.agentGone); err != nil {
		return 0, err
	}
	if m.notReady {
		return withdrawn, nil
	}
	if !m.sameServer && !m.anyServer {
		down = 0
	}
	return untilFirstWrite(result, former, at, down)
}

// steady lets a pair that has just become ready work for a while, as one that a fault meets
// has done for weeks. kube-proxy writes its rules at most once a second where kind sets it
// up (minSyncPeriod): after the last fault's changes of Services it would be late for this one's.
func steady(ctx context.Context, clients *harness.Clients) error {
	return harness.Consistently(ctx, 3*time.Second, "writes before the fault", func(ctx context.Context) error {
		return clients.AwaitAcks(ctx, harness.Patience, 10)
	})
}

// untilFirstWrite is from the fault to the first acknowledged write of another server than
// the former one, or of the same once it was down.
func untilFirstWrite(result harness.Result, former string, at, down history.Stamp) (time.Duration, error) {
	first, ok := history.FirstAckOf(result.Report.Attempts, at, former)
	if down != 0 {
		first = firstSentAfter(result.Report.Attempts, down)
		ok = true
	}
	if !ok || first.Done == 0 {
		return 0, errors.New("no write was acknowledged after the fault by the server it is measured by")
	}
	printCourse(result, at, first.Done)
	return first.Done.Sub(at), nil
}

// firstSentAfter is the first acknowledged write that was begun after a moment.
func firstSentAfter(attempts []history.Attempt, moment history.Stamp) history.Attempt {
	var first history.Attempt
	for _, a := range attempts {
		sooner := first.Done == 0 || a.Done < first.Done
		if sooner && a.Acknowledged() && a.Sent > moment {
			first = a
		}
	}
	return first
}

func killMysqld(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	return nil, pair.Signal(ctx, primary, unix.SIGKILL, harness.RoleMysqld)
}

func cutNode(ctx context.Context, pair *harness.Pair, primary string) (func(context.Context) error, error) {
	pod, err := pair.Pod(ctx, primary)
	if err != nil {
		return nil, err
	}
	node := pair.Node(pod.Spec.NodeName)
	heal := func(ctx context.Context) error {
		if err := node.Reconnect(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx)
	}
	return heal, node.Disconnect(ctx)
}

// printTimeline shows where the time of the last failover went.
func (b *bench) printTimeline(ctx context.Context, pair *harness.Pair) error {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return err
	}
	last, found := newestOf(operations, v1alpha1.OperationFailover)
	if !found {
		return nil
	}
	fmt.Printf("\nThe last failover (proof %s), from its start:\n\n| step | after | took |\n| --- | --- | --- |\n", last.Status.Proof)
	for _, e := range last.Status.Timeline {
		took := time.Duration(0)
		if e.Took != nil {
			took = e.Took.Round(time.Millisecond)
		}
		fmt.Printf("| %s | %s | %s |\n", e.Step, e.Time.Sub(last.Status.StartTime.Time).Round(time.Millisecond), took)
	}
	fmt.Println()
	return nil
}
