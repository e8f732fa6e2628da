//go:build e2e

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

const (
	writers    = 8
	writePause = 25 * time.Millisecond
	// deadmanGrace is how long after a thaw the deadman may take to kill its mysqld on a
	// busy machine; nothing can be acknowledged in it, and the binlogs are checked for that.
	deadmanGrace = 3 * time.Second
	// leaseDuration is the default T of the pairs under test, and threeLeases longer than
	// any authority lasts that is not confirmed again.
	leaseDuration = 6 * time.Second
	threeLeases   = 3 * leaseDuration
)

// faultSpec lets one pair go through many faults in an hour.
const faultSpec = "failover: {maxPerHour: 60, initialDelay: 5s}"

// outcome is what a fault has to end in.
type outcome string

const (
	failsOver outcome = "fails over"
	// staysPut: the same member is the primary in the end, perhaps at a newer epoch.
	staysPut outcome = "stays put"
	// undisturbed: the authority was not touched at all.
	undisturbed outcome = "undisturbed"
	either      outcome = "either"
)

// injection causes a fault and returns what ends it; nil if it ends by itself.
type injection func(*stage) (heal func(context.Context) error, err error)

// fault is one row of a table: a thing that goes wrong while clients write.
type fault struct {
	name   string
	want   outcome
	inject injection
	// proofs that may have ended the old primary; any when empty.
	proofs []fencing.Kind
	// doubt is the reason of InDoubt that has to come, and complaint what some condition
	// has to say, while the fault lasts. With either, no write is waited for before its end.
	doubt     failover.RuleName
	complaint []string
	// hold is for how long the fault lasts while writes go on.
	hold time.Duration
	// maxGap is how long no write may be acknowledged; no limit when zero.
	maxGap time.Duration
	// crashes: the operator ends in the middle, so that its record may lack steps.
	crashes bool
	// after is checked when the pair is ready again.
	after func(*stage) error
	// clients judges what the clients saw.
	clients func(*stage, history.Report) error
	// long faults run with E2E_LONG only.
	long bool
}

// stage is a pair under load.
type stage struct {
	*scene
	run     *harness.Run
	pair    *harness.Pair
	primary string
	passive string
	epoch   int64 // before the fault
	nodes   map[string]*harness.Node
}

func newStage(s *scene, p *harness.Pair) *stage {
	s.Helper()
	run, err := p.NewRun(s.ctx)
	s.must(err)
	s.onEnd(run.Close)
	return &stage{scene: s, run: run, pair: p}
}

// runFaults puts one pair through a table of faults, one after the other. Each begins
// with a pair that is ready: after a row that failed, with a new one. What a pair needs is
// made by prepare, which returns patches of its spec.
func runFaults(whole *testing.T, name string, faults []fault, prepare ...func(*scene) string) {
	var st *stage
	for _, f := range faults {
		whole.Run(f.name, func(t *testing.T) {
			if f.long {
				harness.NeedsLong(t)
			}
			if st == nil {
				s := openScene(t, whole, name)
				patches := []string{faultSpec}
				for _, p := range prepare {
					patches = append(patches, p(s))
				}
				st = newStage(s, s.readyPair("shop", patches...))
			}
			defer func() {
				if t.Failed() {
					st.end(t)
					st = nil
				}
			}()
			st.on(t).play(f)
		})
	}
}

// on is the stage for a subtest, with the roles as they are now.
func (st *stage) on(t *testing.T) *stage {
	t.Helper()
	next := *st
	next.scene = st.scene.sub(t)
	next.must(st.pair.AwaitReady(next.ctx))
	object, err := st.pair.Object(next.ctx)
	next.must(err)
	next.primary = object.Status.Primary
	next.epoch = object.Status.Epoch
	next.passive = st.pair.Peer(next.primary)
	next.nodes = map[string]*harness.Node{}
	for _, member := range st.pair.Members() {
		pod, err := st.pair.Pod(next.ctx, member)
		next.must(err)
		next.nodes[member] = cluster.Node(pod.Spec.NodeName)
	}
	return &next
}

// play is one fault from the load to the verdict.
func (st *stage) play(f fault) {
	st.Helper()
	st.must(st.run.Load(st.ctx, writers, writePause))
	heal, err := f.inject(st)
	healed := false
	end := func(ctx context.Context) {
		if heal != nil && !healed {
			healed = true
			if err := heal(ctx); err != nil {
				st.Errorf("heal: %v", err)
			}
		}
	}
	defer end(context.WithoutCancel(st.ctx))
	st.must(err)
	st.develop(f)
	end(st.ctx)
	if f.doubt != "" || len(f.complaint) > 0 {
		st.must(st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 100))
	}
	st.must(st.pair.AwaitReady(st.ctx))
	if f.after != nil {
		if err := f.after(st); err != nil {
			st.Errorf("%v", err)
		}
	}
	result, err := st.run.Verify(st.ctx)
	if err != nil {
		st.Errorf("%v", err)
	}
	if f.clients != nil {
		if err := f.clients(st, result.Report); err != nil {
			st.Errorf("%v", err)
		}
	}
	st.judge(f, result)
}

// develop waits for what has to come while the fault lasts.
func (st *stage) develop(f fault) {
	st.Helper()
	if f.doubt != "" {
		doubt := harness.Want{Type: v1alpha1.ConditionInDoubt, Status: metav1.ConditionTrue, Reason: string(f.doubt)}
		st.must(st.pair.Await(st.ctx, harness.Patience, doubt))
	}
	if len(f.complaint) > 0 {
		st.awaitComplaint(st.pair, f.complaint...)
	}
	if f.doubt != "" || len(f.complaint) > 0 {
		return
	}
	if f.want == failsOver {
		st.must(st.awaitFailover())
	}
	st.must(st.run.Clients.AwaitAcks(st.ctx, harness.Patience, 100))
	if f.hold > 0 {
		st.must(harness.Consistently(st.ctx, f.hold, "writes during the fault", func(ctx context.Context) error {
			return st.run.Clients.AwaitAcks(ctx, 30*time.Second, 10)
		}))
	}
}

// awaitFailover waits until the other member is open at a newer epoch.
func (st *stage) awaitFailover() error {
	return harness.Eventually(st.ctx, harness.Patience, "failover to "+st.passive, func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		if object.Status.Primary != st.passive || object.Status.Epoch <= st.epoch ||
			!meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionAvailable) {
			return harness.NotYet("primary %q at epoch %d: %s", object.Status.Primary, object.Status.Epoch, harness.Conditions(object))
		}
		return nil
	})
}

// judge compares the outcome and its record with what was wanted.
func (st *stage) judge(f fault, result harness.Result) {
	st.Helper()
	object, err := st.pair.Object(st.ctx)
	st.must(err)
	now := object.Status.Primary
	switch {
	case f.want == undisturbed && object.Status.Epoch != st.epoch:
		st.Errorf("the epoch went from %d to %d and the primary from %s to %s, though nothing was wrong with it",
			st.epoch, object.Status.Epoch, st.primary, now)
	case f.want == staysPut && now != st.primary:
		st.Errorf("%s took over from %s", now, st.primary)
	case f.want == failsOver && now != st.passive:
		st.Errorf("the primary is %s, want %s", now, st.passive)
	}
	if f.maxGap > 0 && result.Gap.Length() > f.maxGap {
		st.Errorf("no write was acknowledged for %s, allowed %s", result.Gap.Length(), f.maxGap)
	}
	proof := "none"
	// Out of a doubt a person's verb leads, which has a record of its own.
	if now != st.primary && f.doubt == "" {
		proof = st.checkRecord(f)
	}
	st.Logf("%s: %s -> %s, %d writes acknowledged, longest gap %s, without an endpoint %s, proof %s", f.name, st.primary, now,
		result.Acknowledged, result.Gap.Length().Round(time.Millisecond), result.NoEndpoint.Round(time.Millisecond), proof)
}

// record is the operation of the failover, once it is finished.
func (st *stage) record() (v1alpha1.DatabasePairOperation, error) {
	st.Helper()
	var found v1alpha1.DatabasePairOperation
	err := harness.Eventually(st.ctx, harness.Patience, "record of the failover", func(ctx context.Context) error {
		operations, err := st.pair.Operations(ctx)
		if err != nil {
			return err
		}
		for _, found = range operations {
			moves := found.Spec.Type == v1alpha1.OperationFailover || found.Spec.Type == v1alpha1.OperationSwitchover
			if moves && found.Status.Epoch >= st.epoch && found.Status.To == st.passive && found.Status.Phase.Terminal() {
				return nil
			}
		}
		return harness.NotYet("no finished operation from %s to %s after epoch %d: %+v", st.primary, st.passive, st.epoch, operations)
	})
	return found, err
}

// checkRecord: the failover is a finished operation that says how it went.
func (st *stage) checkRecord(f fault) (proof string) {
	st.Helper()
	o, err := st.record()
	st.must(err)
	if o.Status.Phase != v1alpha1.OperationSucceeded || o.Status.From != st.primary || o.Status.Rule == "" ||
		(len(o.Status.Timeline) == 0 && !f.crashes) || o.Status.Proof == "" || o.Status.CompletionTime == nil {
		st.Errorf("the record of the failover is not complete: %+v", o.Status)
	}
	if len(f.proofs) > 0 && !slices.Contains(f.proofs, fencing.Kind(o.Status.Proof)) {
		st.Errorf("the proof was %s, want one of %v", o.Status.Proof, f.proofs)
	}
	for _, e := range o.Status.Timeline {
		st.Logf("  %8s %s (%s) %s", e.Time.Sub(o.Status.StartTime.Time).Round(time.Millisecond), e.Step, e.Took.Duration.Round(time.Millisecond), e.Message)
	}
	return o.Status.Proof
}
