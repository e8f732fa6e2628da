//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
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
	failedWithin = 90 * time.Second
)

// faultSpec lets one pair go through many faults in an hour.
const faultSpec = "failover: {maxPerHour: 60, initialDelay: 5s}"

// outcome is what a fault has to end in.
type outcome string

const (
	failsOver outcome = "fails over"
	staysPut  outcome = "stays put"
	either    outcome = "either"
)

// fault is one row of the table: a thing that goes wrong with the primary while clients
// write.
type fault struct {
	name string
	want outcome
	// proofs that may have ended the old primary; any when empty.
	proofs []fencing.Kind
	// inject causes the fault and returns what ends it; nil if it ends by itself.
	inject func(*stage) (heal func(context.Context) error, err error)
	// healFirst: the fault has to end before the pair can be available again.
	healFirst bool
	// maxGap is how long no write may be acknowledged; no limit when zero.
	maxGap time.Duration
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
	nodes   map[string]*harness.Node
}

func newStage(s *scene, p *harness.Pair) *stage {
	s.Helper()
	run, err := p.NewRun(s.ctx)
	s.must(err)
	s.Cleanup(run.Close)
	return &stage{scene: s, run: run, pair: p}
}

// runFaults puts one pair through a table of faults, one after the other.
func runFaults(t *testing.T, name string, faults []fault) {
	s := newScene(t, name)
	st := newStage(s, s.readyPair("shop", faultSpec))
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if f.long {
				harness.NeedsLong(t)
			}
			st.on(t).play(f)
		})
		if t.Failed() {
			return // what follows would only tell the same story
		}
	}
}

// on is the stage for a subtest, with the roles as they are now.
func (st *stage) on(t *testing.T) *stage {
	t.Helper()
	next := *st
	next.scene = st.scene.sub(t)
	next.must(st.pair.AwaitReady(next.ctx, readyWithin))
	next.primary = next.scene.primary(st.pair)
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
	object, err := st.pair.Object(st.ctx)
	st.must(err)
	epoch := object.Status.Epoch
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
	if f.healFirst {
		end(st.ctx)
	}
	if f.want == failsOver {
		st.must(st.awaitFailover(epoch))
	}
	st.must(st.run.Clients.AwaitAcks(st.ctx, failedWithin, 100))
	end(st.ctx)
	st.must(st.pair.AwaitReady(st.ctx, readyWithin))
	result, err := st.run.Verify(st.ctx)
	if err != nil {
		st.Errorf("%v", err)
	}
	st.judge(f, epoch, result)
}

// awaitFailover waits until the other member is open at a newer epoch.
func (st *stage) awaitFailover(epoch int64) error {
	return harness.Eventually(st.ctx, failedWithin, "failover to "+st.passive, func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		if object.Status.Primary != st.passive || object.Status.Epoch <= epoch ||
			!meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionAvailable) {
			return harness.NotYet("primary %q at epoch %d: %s", object.Status.Primary, object.Status.Epoch, harness.Conditions(object))
		}
		return nil
	})
}

// judge compares the outcome and its record with what was wanted.
func (st *stage) judge(f fault, epoch int64, result harness.Result) {
	st.Helper()
	now := st.scene.primary(st.pair)
	switch {
	case f.want == staysPut && now != st.primary:
		st.Errorf("%s took over from %s, though that was healthy", now, st.primary)
	case f.want == failsOver && now != st.passive:
		st.Errorf("the primary is %s, want %s", now, st.passive)
	}
	if f.maxGap > 0 && result.Gap.Length() > f.maxGap {
		st.Errorf("no write was acknowledged for %s, allowed %s", result.Gap.Length(), f.maxGap)
	}
	proof := "none"
	if now != st.primary {
		proof = st.checkRecord(f, epoch)
	}
	st.Logf("%s: %s -> %s, %d writes acknowledged, longest gap %s, proof %s",
		f.name, st.primary, now, result.Acknowledged, result.Gap.Length().Round(time.Millisecond), proof)
}

// checkRecord: the failover is a finished operation that says how it went.
func (st *stage) checkRecord(f fault, epoch int64) (proof string) {
	st.Helper()
	operations, err := st.pair.Operations(st.ctx)
	st.must(err)
	for _, o := range operations {
		if o.Spec.Type != v1alpha1.OperationFailover || o.Status.Epoch < epoch || o.Status.To != st.passive {
			continue
		}
		if o.Status.Phase != v1alpha1.OperationSucceeded || o.Status.From != st.primary || o.Status.Rule == "" ||
			len(o.Status.Timeline) == 0 || o.Status.CompletionTime == nil {
			st.Errorf("the record of the failover is not complete: %+v", o.Status)
		}
		if len(f.proofs) > 0 && !slices.Contains(f.proofs, fencing.Kind(o.Status.Proof)) {
			st.Errorf("the proof was %s, want one of %v", o.Status.Proof, f.proofs)
		}
		return o.Status.Proof
	}
	st.Errorf("no operation records the failover from %s to %s after epoch %d: %+v", st.primary, st.passive, epoch, operations)
	return ""
}

func signal(sig unix.Signal, roles ...harness.Role) func(*stage) (func(context.Context) error, error) {
	return func(st *stage) (func(context.Context) error, error) {
		return nil, st.pair.Signal(st.ctx, st.primary, sig, roles...)
	}
}

// stopped is a SIGSTOP that ends with the process; what is still there in the end goes
// on.
func stopped(role harness.Role) func(*stage) (func(context.Context) error, error) {
	return func(st *stage) (func(context.Context) error, error) {
		pod, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		processes, err := harness.Processes(pod.UID)
		if err != nil {
			return nil, err
		}
		heal := func(context.Context) error {
			for _, p := range processes {
				if p.Role == role {
					_ = unix.Kill(p.PID, unix.SIGCONT) // gone, if all went well
				}
			}
			return nil
		}
		return heal, st.pair.Signal(st.ctx, st.primary, unix.SIGSTOP, role)
	}
}

func deletePod(grace *int64) func(*stage) (func(context.Context) error, error) {
	return func(st *stage) (func(context.Context) error, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: st.primary}}
		return nil, cluster.Delete(st.ctx, pod, &client.DeleteOptions{GracePeriodSeconds: grace})
	}
}

// TestProcessFaults: what happens inside the primary's pod. One pair, since no node is
// touched other cases may run beside it.
func TestProcessFaults(t *testing.T) {
	t.Parallel()
	stoppedOrGone := []fencing.Kind{fencing.ProcessStopped, fencing.Demoted, fencing.PodTerminated}
	runFaults(t, "process", []fault{
		{name: "mysqld killed", want: failsOver, proofs: stoppedOrGone, inject: signal(unix.SIGKILL, harness.RoleMysqld)},
		{name: "mysqld stopped", want: failsOver, inject: stopped(harness.RoleMysqld)},
		{name: "agent killed", want: either, inject: signal(unix.SIGKILL, harness.RoleAgent)},
		{name: "agent stopped", want: failsOver, inject: stopped(harness.RoleAgent), long: true},
		{name: "pod deleted", want: failsOver, inject: deletePod(nil)},
		{name: "pod force-deleted", want: failsOver, inject: deletePod(ptr.To[int64](0))},
	})
}

// TestNodeFaults: what happens to the primary's node, to the links, to the API server
// and to the operator. Nothing else runs beside it.
func TestNodeFaults(t *testing.T) {
	runFaults(t, "node", []fault{
		{name: "node cut off the network", want: failsOver, inject: disconnect},
		{name: "node killed", want: failsOver, inject: killNode},
		{name: "node frozen", want: failsOver, inject: pauseNode},
		{name: "primary cut off the passive", want: either, inject: cutPeer(true), long: true},
		{name: "passive does not hear the primary", want: either, inject: cutPeer(false), long: true},
		{name: "primary's node cut off the API server", want: staysPut, inject: cutAPI},
		{name: "API server away for three minutes", want: staysPut, inject: stopAPI, maxGap: 10 * time.Second, long: true},
	})
}

func disconnect(st *stage) (func(context.Context) error, error) {
	node := st.nodes[st.primary]
	heal := func(ctx context.Context) error {
		if err := node.Reconnect(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx, 90*time.Second)
	}
	return heal, node.Disconnect(st.ctx)
}

func killNode(st *stage) (func(context.Context) error, error) {
	node := st.nodes[st.primary]
	heal := func(ctx context.Context) error {
		if err := node.Start(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx, 90*time.Second)
	}
	return heal, node.Kill(st.ctx)
}

func pauseNode(st *stage) (func(context.Context) error, error) {
	node, member := st.nodes[st.primary], st.primary
	from := harness.Now()
	heal := func(ctx context.Context) error {
		st.run.Frozen = append(st.run.Frozen, history.Frozen{Member: member, From: from, To: harness.Now(), Grace: deadmanGrace})
		if err := node.Unpause(ctx); err != nil {
			return err
		}
		return node.AwaitReady(ctx, 90*time.Second)
	}
	return heal, node.Pause(st.ctx)
}

// cutPeer drops what the primary sends to the passive, and what comes back if bothWays.
func cutPeer(bothWays bool) func(*stage) (func(context.Context) error, error) {
	return func(st *stage) (func(context.Context) error, error) {
		from, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		to, err := st.pair.Pod(st.ctx, st.passive)
		if err != nil {
			return nil, err
		}
		cut, err := harness.CutTraffic(st.ctx, []string{from.Status.PodIP}, []string{to.Status.PodIP}, bothWays)
		if err != nil {
			return nil, err
		}
		return cut.Heal, nil
	}
}

// cutAPI takes the API server away from the primary's node, and from nothing else.
func cutAPI(st *stage) (func(context.Context) error, error) {
	control, err := cluster.ControlPlane(st.ctx)
	if err != nil {
		return nil, err
	}
	sources, err := st.nodes[st.primary].Addresses(st.ctx)
	if err != nil {
		return nil, err
	}
	targets, err := control.Addresses(st.ctx)
	if err != nil {
		return nil, err
	}
	cut, err := harness.CutTraffic(st.ctx, sources, targets[:1], false, "-p", "tcp", "--dport", "6443")
	if err != nil {
		return nil, err
	}
	return cut.Heal, nil
}

// stopAPI takes the API server away for three minutes, in which writes must go on.
func stopAPI(st *stage) (func(context.Context) error, error) {
	control, err := cluster.ControlPlane(st.ctx)
	if err != nil {
		return nil, err
	}
	if err := control.StopAPI(st.ctx); err != nil {
		return control.StartAPI, err
	}
	from := harness.Now()
	timer := time.NewTimer(3 * time.Minute)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-st.ctx.Done():
		return control.StartAPI, fmt.Errorf("stop the API server: %w", st.ctx.Err())
	}
	to := harness.Now()
	if err := control.StartAPI(st.ctx); err != nil {
		return control.StartAPI, err
	}
	st.Logf("the API server was away from %d to %d", from, to)
	return nil, nil
}
