package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

type (
	object = client.Object
	clock  = func() time.Time
)

// ordinals of the members.
var ordinals = [2]pair.Ordinal{0, 1}

// PairReconciler looks at pairs and does what failover.Decide says. Make it with all
// fields set but the optional ones; Setup makes the rest.
type PairReconciler struct {
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Leases are read without a cache, and written by LeaseWrites, which has a rate limiter of
	// its own. Without LeaseWrites both are done by Leases.
	Leases      kubernetes.Interface
	LeaseWrites kubernetes.Interface
	Applier     *cluster.Applier
	Events      recorder.EventRecorder
	Now         clock
	// Agent is the image of the agent, Version what such an agent calls itself.
	Agent   resources.Image
	Version string
	// Namespace of the operator.
	Namespace string
	// Failpoint is called between effects; an error ends the look there. Optional.
	Failpoint func(string) error
	// Key is the operator's, of which agents take commands. Without one the key lasts as long
	// as this process, and agents know the operator by the name in its certificate alone.
	Key *pki.Key
	// Allowed limits what pairs may ask for.
	Allowed Allowed
	// Off are the features that this operator does without.
	Off Off
	// MaxParallelRollouts is how many pairs may have their pods made again at the same time; 1 when 0.
	MaxParallelRollouts int

	turns    *turns
	Agents   *agents
	sessions *sessions
	children *childrenReconciler
}

// visit is one look at one pair.
type visit struct {
	name    types.NamespacedName
	names   resources.Names
	pair    *v1alpha1.DatabasePair
	session *session
	// report is about the objects around the pair; nil before the first one.
	report *childrenReport
	log    logr.Logger

	view
}

// The times until the next look when nothing calls for one.
const (
	lookAtOnce  = time.Millisecond
	requeueSoon = time.Second
	lookIdle    = 15 * time.Second
)

// Reconcile looks at the roles of one pair: it observes, decides, does one step and writes the
// status. The objects around the pair are the business of childrenReconciler.
func (r *PairReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.DatabasePair{}
	err := r.Client.Get(ctx, req.NamespacedName, p)
	if apierrors.IsNotFound(err) {
		return r.gone(ctx, req.NamespacedName)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read pair %s: %w", req, err)
	}
	v := r.visit(ctx, p)
	ctx = noting(ctx, v.session.writes)
	ending, err := namespaceEnding(ctx, r.Client, p.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if ending || p.DeletionTimestamp != nil {
		return r.deleting(ctx, v)
	}
	if !v.prepared() {
		return ctrl.Result{RequeueAfter: requeueSoon}, nil // the report wakes it before
	}
	if wait := v.session.throttle.take(r.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	o, seen, err := r.observe(ctx, v)
	if errors.Is(err, cluster.ErrPairGone) || errors.Is(v.reported().err, cluster.ErrPairGone) {
		return ctrl.Result{RequeueAfter: requeueSoon}, nil // the cache knows it by then
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	v.view = seen
	v.session.remember(o, seen)
	r.Agents.watch(ctx, v)
	plan := r.plan(v, o)
	// The step comes before everything else that is written: nothing that fails or hangs
	// may keep a failover waiting.
	again, actErr := r.act(ctx, v, o, plan)
	if quiet(actErr) != nil {
		v.log.Error(actErr, "a step failed", "rule", plan.Rule)
	}
	v.session.settled.saw(o, plan)
	v.session.throttle.free = len(plan.Steps) > 0 || (begun(o) && o.Authority.Record.Holder.Nobody())
	again = r.bookkeeping(ctx, v, o, plan, again)
	return ctrl.Result{RequeueAfter: again}, nil
}

// plan is what is to be done, unless an object of another owner has a name that the pair needs.
func (r *PairReconciler) plan(v *visit, o failover.Observation) failover.Plan {
	plan := r.decide(v, o)
	switch {
	case errors.Is(v.reported().err, cluster.ErrForeign) && !begun(o):
		return nameConflict(v.reported().err)
	case v.foreignLease != nil:
		return nameConflict(v.foreignLease)
	}
	return plan
}

func (r *PairReconciler) visit(ctx context.Context, p *v1alpha1.DatabasePair) *visit {
	s := r.sessions.of(p)
	return &visit{
		name:  client.ObjectKeyFromObject(p),
		names: resources.NamesOf(p),
		pair:  p,
		log:   logf.FromContext(ctx),

		session: s,
		report:  s.reports.newest(),
	}
}

func (r *PairReconciler) newSession(p *v1alpha1.DatabasePair) *session {
	store := leaseStore(r.Leases, p)
	if r.LeaseWrites != nil {
		store.API = splitLeases{LeaseInterface: r.LeaseWrites.CoordinationV1().Leases(p.Namespace), reads: store.API}
	}
	store.API = notingLeases{API: store.API, now: r.Now}
	return newSession(p.UID, store, r.Now())
}

// prepared reports whether the pair's roles can be looked at. Without certificates no agent can
// be asked. A pair that has had a primary waits for nothing else; a new one does not begin before
// its objects were tried once.
func (v *visit) prepared() bool {
	hadPrimary := v.pair.Status.Epoch > 0
	return v.report != nil || (hadPrimary && v.session.keyring.trusts())
}

// splitLeases reads by one client and writes by another.
type splitLeases struct {
	coordinationclient.LeaseInterface
	reads lease.API
}

// Get implements lease.API.
func (s splitLeases) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	return s.reads.Get(ctx, name, o)
}

// RuleNameConflict is the reason while an object that is not the pair's has a name that the
// pair needs. Nothing is done to a new pair until one of them gives way. A pair that has had
// a primary goes on: its failover must not depend on who makes an object in its namespace.
const RuleNameConflict = status.ReasonNameConflict

func begun(o failover.Observation) bool {
	return o.Authority.Reading == failover.Read && o.Authority.Record.Epoch > 0
}

func nameConflict(err error) failover.Plan {
	return failover.Plan{
		Rule:  RuleNameConflict,
		Kind:  failover.Holds,
		Fact:  err.Error(),
		After: lookIdle,
	}
}

// act executes the first step of a plan and says when to look again.
func (r *PairReconciler) act(ctx context.Context, v *visit, o failover.Observation, plan failover.Plan) (time.Duration, error) {
	next := plan.After
	if next == 0 || next > lookIdle {
		next = lookIdle
	}
	r.budget(ctx, v, plan)
	if len(plan.Steps) == 0 {
		return next, nil
	}
	step := plan.Steps[0]
	v.log.Info("acting", "rule", plan.Rule, "step", step.Name(), "epoch", o.Authority.Record.Epoch, "fact", plan.Fact)
	res, err := r.runner(v).Run(ctx, o, plan, step)
	stepTotal.WithLabelValues(string(step.Name()), string(plan.Rule), outcomeOf(err)).Inc()
	v.session.history = v.session.history.After(o, plan, failover.Outcome{
		Failed: err != nil,
		Errant: res.Errant,
		Wrote:  res.Wrote,
	})
	if res.Wrote != nil {
		if res.Wrote.Epoch != o.Authority.Record.Epoch {
			// Whom a change of holder concerns is asked at once, by a step.
			r.stopJobs(ctx, v)
		} else {
			r.nudge(ctx, v, *res.Wrote)
		}
	}
	switch {
	case errors.Is(err, execute.ErrConflict):
		// What the step was conditional on is not so, or an agent refuses it: look again,
		// ever more slowly while that goes on.
		wait := v.session.repeated.refusedAgain(step.Name())
		v.log.V(1).Info("looking again", "step", step.Name(), "why", err.Error(), "after", wait)
		return min(next, wait), nil
	case err != nil:
		return min(next, requeueSoon), err
	case res.Pending != "":
		v.log.V(1).Info("the step is pending", "step", step.Name(), "why", res.Pending)
		return min(next, 250*time.Millisecond), nil
	}
	done := acted{rule: plan.Rule, step: step.Name(), version: o.Authority.Version}
	if res.Wrote == nil && v.session.repeated.last == done {
		// Done before over the same authority, and not seen to have helped yet: an agent
		// that changes says so by itself.
		return min(next, v.session.repeated.refusedAgain(step.Name())), nil
	}
	v.session.repeated.did(done)
	if res.Changed {
		return lookAtOnce, nil
	}
	return min(next, requeueSoon), nil
}

// nudge has the agents read the authority that was just written, rather than at their
// next turn. It waits for nothing, and nothing depends on it.
func (r *PairReconciler) nudge(ctx context.Context, v *visit, rec authority.Record) {
	ctx = context.WithoutCancel(ctx)
	for i, pod := range v.pods {
		if pod == nil {
			continue
		}
		to := fencing.Subject{Member: ordinals[i].Member(v.pair.Name), PodUID: pair.PodUID(pod.UID)}
		agent, err := r.Agents.command(v.name, v.pods, to)
		if err != nil {
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(ctx, nudgeTimeout)
			defer cancel()
			_, err := agent.ReadLease(ctx, agentapi.Command{
				PairUID:       rec.PairUID,
				Epoch:         rec.Epoch,
				LedgerVersion: rec.Ledger.Version,
				RequestID:     string(uuid.NewUUID()),
			})
			if err != nil {
				v.log.V(1).Info("an agent was not told of the change", "member", to.Member, "why", err.Error())
			}
		}()
	}
}

const nudgeTimeout = 2 * time.Second

// stopJobs ends the Jobs that compare or repair: the roles move. It waits for nothing;
// agents end the Jobs' sessions by themselves, and the controller of Jobs sees to what is
// left.
func (r *PairReconciler) stopJobs(ctx context.Context, v *visit) {
	if r.Off.jobs() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, commandPatience)
		defer cancel()
		var jobs batchv1.JobList
		err := r.Client.List(ctx, &jobs, client.InNamespace(v.name.Namespace), client.MatchingLabels{resources.LabelJobOf: v.name.Name})
		for i := range jobs.Items {
			if job := &jobs.Items[i]; err == nil && !over(job) {
				err = deleteJob(ctx, r.Client, job)
			}
		}
		if err != nil {
			v.log.Error(err, "a job was not ended")
		}
	}()
}

// quiet drops errors that only say that something changed meanwhile: the next look is
// already due.
func quiet(err error) error {
	if err == nil || apierrors.IsConflict(err) || errors.Is(err, execute.ErrConflict) || errors.Is(err, cluster.ErrPairGone) {
		return nil
	}
	return err
}
