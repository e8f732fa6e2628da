package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

// observe gathers everything Decide wants to know. Agents come before the authority: one
// that knows a higher epoch than an authority read afterwards shows that it went back.
func (r *PairReconciler) observe(ctx context.Context, v *visit) (failover.Observation, error) {
	o := failover.Observation{
		Settings: r.settings(v.pair),
		Evidence: v.session.book,
		FreshID:  string(uuid.NewUUID()),
	}
	var err error
	if o.Members, err = r.observeMembers(ctx, v); err != nil {
		return o, err
	}
	if o.Service, err = r.observeService(ctx, v); err != nil {
		return o, err
	}
	if o.Operations, err = r.observeOperations(ctx, v); err != nil {
		return o, err
	}
	o.Jobs = v.jobs
	if o.Authority = r.observeAuthority(ctx, v); o.Authority.Reading == failover.Missing {
		if err := cluster.StillThere(ctx, r.Live, v.pair); err != nil {
			return o, err
		}
	}
	o.Now = r.Now()
	o.Kept = r.kept(v)
	o.Refused = v.session.writes.repeated(o.Now)
	if rec := o.Authority.Record; o.Authority.Reading == failover.Read {
		// Seen means after the read, not before: waits are counted from here.
		v.session.book.SawEpoch(rec.Epoch, o.Now)
	}
	v.session.history = v.session.history.Next(o)
	o.History = v.session.history
	return o, nil
}

func (r *PairReconciler) settings(p *v1alpha1.DatabasePair) failover.Settings {
	s := &p.Spec
	return failover.Settings{
		Namespace:          p.Namespace,
		Name:               p.Name,
		UID:                pair.UID(p.UID),
		Generation:         p.Generation,
		CreatedAt:          p.CreationTimestamp.Time,
		Paused:             s.Paused,
		Deleting:           p.DeletionTimestamp != nil,
		Lossless:           s.Durability.Mode != v1alpha1.Async,
		ContinueAlone:      s.Durability.OnPassiveLoss != v1alpha1.BlockWrites,
		PassiveTimeout:     s.Durability.PassiveTimeout.Duration,
		LeaseDuration:      s.Authority.LeaseDuration.Duration,
		SafetyMargin:       s.Authority.SafetyMargin.Duration,
		AutomaticFailover:  s.Failover.Mode != v1alpha1.ManualFailover,
		WarnAfter:          s.Failover.WarnAfter.Duration,
		DeadAfter:          s.Failover.DeadAfter.Duration,
		InitialDelay:       s.Failover.InitialDelay.Duration,
		ApplyTimeout:       s.Failover.ApplyTimeout.Duration,
		MaxPerHour:         int(s.Failover.MaxPerHour),
		PromoteOnAckFenced: s.Failover.PromoteOn == v1alpha1.PromoteOnAckFenced,
		AsyncAnyProof:      s.Failover.Async.Proof == v1alpha1.AsyncProofAny,
		AsyncMaxLag:        s.Failover.Async.MaxLag.Duration,
		PassiveMaxLag:      s.Services.Passive.MaxLag.Duration,
		FallbackToPrimary:  s.Services.Passive.FallbackToPrimary,
		HoldsClients:       s.Services.Primary.OnRoleChange == v1alpha1.OnRoleChangeHold,
		AutomaticRollout:   s.Rollout.Mode != v1alpha1.RolloutOnDelete,
		AgentVersion:       r.Version,
	}
}

func (r *PairReconciler) observeMembers(ctx context.Context, v *visit) ([2]failover.Member, error) {
	var out [2]failover.Member
	var set appsv1.StatefulSet
	if _, err := r.Applier.Find(ctx, v.pair, v.name, &set); errors.Is(err, cluster.ErrForeign) {
		set = appsv1.StatefulSet{}
	} else if err != nil {
		return out, err
	}
	alive := map[pair.PodUID]bool{}
	for i, o := range ordinals {
		var claim corev1.PersistentVolumeClaim
		err := cluster.Read(ctx, r.Client, r.Live, types.NamespacedName{Namespace: v.pair.Namespace, Name: v.names.Claim(o)}, &claim)
		if err == nil {
			v.claims = append(v.claims, claim)
		} else if !apierrors.IsNotFound(err) {
			return out, fmt.Errorf("read volume claim of %s: %w", o.Member(v.pair.Name), err)
		}
		if out[i], err = r.observeMember(ctx, v, o, &set, &claim); err != nil {
			return out, err
		}
		alive[out[i].Pod.UID] = true
	}
	v.session.keepPods(alive)
	v.statefulSet = set.UID
	v.unprocessed = unprocessed(v.pair, &set)
	v.unsettled = unsettledVolumes(v.pair, &set, v.claims)
	return out, nil
}

// observeMember looks at one member, whose claim has no name if there is none.
func (r *PairReconciler) observeMember(
	ctx context.Context,
	v *visit,
	o pair.Ordinal,
	set *appsv1.StatefulSet,
	claim *corev1.PersistentVolumeClaim,
) (failover.Member, error) {
	m := failover.Member{Name: o.Member(v.pair.Name)}
	if claim.Name != "" {
		m.ClaimDeleting = claim.DeletionTimestamp != nil
		m.MadeForPair = failover.Known(!claim.CreationTimestamp.Before(&v.pair.CreationTimestamp))
	}
	pod, reading, err := r.readMemberPod(ctx, v, m.Name)
	if reading != failover.Missing {
		delete(v.session.podMissing, m.Name)
	} else if _, known := v.session.podMissing[m.Name]; !known {
		v.session.podMissing[m.Name] = r.Now()
	}
	if err != nil || reading != failover.Read {
		m.Pod.Reading = reading
		if reading == failover.Missing {
			m.Pod.Problem = v.session.refusedPods[m.Name]
		}
		return m, err
	}
	v.session.sawPod(pod)
	v.pods[o] = pod.DeepCopy()
	m.Pod = r.observePod(ctx, v, pod)
	m.Pod.Outdated = outdated(pod, set)
	m.Pod.RestartAsked = v.pair.Annotations[v1alpha1.AnnotationRestartPrefix+pod.Name] == string(pod.UID)
	m.Pod.NeverRan = neverRan(pod)
	m.Pod.Problem = podProblem(pod, claim)
	if m.Pod.NeverRan {
		m.Pod.Problem = cmp.Or(m.Pod.Problem, v.session.refusedPods[m.Name])
	}
	facts := r.Agents.facts(v.name, m.Name, m.Pod.UID)
	m.Reach = facts.Reach
	m.State = facts.State
	m.HeardAt = facts.HeardAt
	m.SilentSince = facts.SilentSince
	if m.Pod.IP == "" {
		m.Reach = failover.NoPodIP
	}
	return m, nil
}

func (r *PairReconciler) observePod(ctx context.Context, v *visit, pod *corev1.Pod) failover.Pod {
	uid := pair.PodUID(pod.UID)
	out := failover.Pod{
		Reading:   failover.Read,
		UID:       uid,
		Node:      pod.Spec.NodeName,
		IP:        pod.Status.PodIP,
		CreatedAt: pod.CreationTimestamp.Time,
		Deleting:  pod.DeletionTimestamp != nil,
		Fenced:    hasFinalizer(pod),
		Labels:    pod.Labels,
		Ended:     cluster.PodFacts(pod, v.session.seenOf(uid)),
	}
	if out.Node == "" {
		return out
	}
	var node corev1.Node
	switch err := r.Client.Get(ctx, types.NamespacedName{Name: out.Node}, &node); {
	case err == nil:
		out.NodeGone = failover.No
		out.NodeOutOfService = failover.Known(cluster.OutOfService(&node))
	case apierrors.IsNotFound(err):
		out.NodeGone = failover.Yes
	}
	return out
}

func (r *PairReconciler) observeService(ctx context.Context, v *visit) (failover.Service, error) {
	var svc corev1.Service
	found, err := r.Applier.Find(ctx, v.pair, v.name, &svc)
	if errors.Is(err, cluster.ErrForeign) {
		found = false
		err = nil // ensureServices reports it
	}
	if err != nil {
		return failover.Service{}, err
	}
	if !found {
		return failover.Service{Reading: failover.Missing, Epoch: -1}, nil
	}
	return cluster.ObserveService(&svc), nil
}

// observeAuthority reads the Lease from the API server. Not being able to is a fact like
// others.
func (r *PairReconciler) observeAuthority(ctx context.Context, v *visit) failover.Authority {
	out := failover.Authority{AskedAt: r.Now()}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	rec, version, err := v.session.store.Read(ctx)
	switch {
	case err == nil:
		out.Reading = failover.Read
		out.Record = rec
		out.Version = version
		v.session.sawRecord(rec)
	case errors.Is(err, lease.ErrMissing):
		out.Reading = failover.Missing
	case errors.Is(err, authority.ErrNotAuthentic):
		out.Reading, out.Version, out.Problem = failover.NotAuthentic, version, err.Error()
	case errors.Is(err, lease.ErrForeign):
		v.foreignLease, out.Problem = err, err.Error()
	case errors.Is(err, lease.ErrMalformed):
		out.Reading, out.Version, out.Problem = failover.Malformed, version, err.Error()
	default:
		out.Problem = err.Error()
	}
	return out
}

const leaseTimeout = 5 * time.Second

// kept is what the pair's status and the operations about it say of former observations.
func (r *PairReconciler) kept(v *visit) failover.Kept {
	k := failover.Kept{Epoch: pair.Epoch(v.pair.Status.Epoch)}
	accepted, err := status.Accepted(v.pair)
	if err != nil {
		v.log.Error(err, "the record that the status keeps is not used")
	}
	k.Accepted = accepted
	for i := range v.operations {
		op := &v.operations[i]
		if op.Status.StartTime != nil {
			// The object is one write and what it says another: an operator may have ended in between.
			k.Begun = append(k.Begun, op.Name)
		}
		at := op.Status.CompletionTime
		if at != nil && byOperator(op) && op.Spec.Type == v1alpha1.OperationSwitchover && ofFormerPair(op, v.pair) == "" {
			k.Rollouts = append(k.Rollouts, failover.EndedRollout{
				Name:      op.Name,
				At:        at.Time,
				Succeeded: op.Status.Phase == v1alpha1.OperationSucceeded,
				Message:   op.Status.Message,
			})
		}
		if at != nil && automaticFailover(op) && ofFormerPair(op, v.pair) == "" && r.Now().Sub(at.Time) < time.Hour {
			k.Failovers = append(k.Failovers, at.Time)
		}
	}
	return k
}
