package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
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
	if o.Authority = r.observeAuthority(ctx, v); o.Authority.Reading == failover.Missing {
		if err := cluster.StillThere(ctx, r.Live, v.pair); err != nil {
			return o, err
		}
	}
	o.Now = r.Now()
	o.History = v.session.remember(v.pair, v.operations, &o)
	v.session.history = failover.Observed(o)
	o.History = v.session.history
	return o, nil
}

func (r *PairReconciler) settings(p *v1alpha1.DatabasePair) failover.Settings {
	s := &p.Spec
	return failover.Settings{
		Namespace: p.Namespace, Name: p.Name, UID: pair.UID(p.UID), Generation: p.Generation, CreatedAt: p.CreationTimestamp.Time,
		Paused: s.Paused, Deleting: p.DeletionTimestamp != nil,
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
	v.unsettled = unsettledVolumes(v.pair, &set, v.claims)
	return out, nil
}

// observeMember looks at one member, whose claim has no name if there is none.
func (r *PairReconciler) observeMember(ctx context.Context, v *visit, o pair.Ordinal, set *appsv1.StatefulSet, claim *corev1.PersistentVolumeClaim) (failover.Member, error) {
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
		return m, err
	}
	v.session.sawPod(pod)
	v.pods[o] = pod.DeepCopy()
	m.Pod = r.observePod(ctx, v, pod)
	m.Pod.Outdated = outdated(pod, set)
	m.Pod.Problem = podProblem(pod, claim)
	facts := r.Agents.facts(v.name, m.Name, m.Pod.UID)
	m.Reach, m.State, m.HeardAt, m.SilentSince = facts.Reach, facts.State, facts.HeardAt, facts.SilentSince
	if m.Pod.IP == "" {
		m.Reach = failover.NoPodIP
	}
	return m, nil
}

func (r *PairReconciler) observePod(ctx context.Context, v *visit, pod *corev1.Pod) failover.Pod {
	uid := pair.PodUID(pod.UID)
	out := failover.Pod{
		Reading: failover.Read, UID: uid, Node: pod.Spec.NodeName, IP: pod.Status.PodIP,
		CreatedAt: pod.CreationTimestamp.Time, Deleting: pod.DeletionTimestamp != nil,
		Fenced: hasFinalizer(pod), Labels: pod.Labels,
		Ended: cluster.PodFacts(pod, v.session.seenOf(uid)),
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
		found, err = false, nil // ensureServices reports it
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
	out := failover.Authority{AskedAt: r.Now(), Remembered: v.session.remembered}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	rec, version, err := v.session.store.Read(ctx)
	switch {
	case err == nil:
		out.Reading, out.Record, out.Version = failover.Read, rec, version
	case errors.Is(err, lease.ErrMissing):
		out.Reading = failover.Missing
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

// remember keeps what this look adds to the history, and returns the history.
func (s *session) remember(p *v1alpha1.DatabasePair, all []v1alpha1.DatabasePairOperation, o *failover.Observation) failover.History {
	h := &s.history
	h.Epoch = pair.Epoch(p.Status.Epoch)
	if o.Authority.Reading != failover.Read {
		return *h
	}
	rec := o.Authority.Record
	if a := rec.Appointed; a != nil && slices.ContainsFunc(all, func(op v1alpha1.DatabasePairOperation) bool {
		// The object is one write and what it says another: an operator may have ended in between.
		return op.Name == a.Operation && op.Status.StartTime != nil
	}) {
		h.Recorded = a.Operation
	}
	// Seen means after the read, not before: waits are counted from here.
	s.book.SawEpoch(rec.Epoch, o.Now)
	if rec.Holder != s.holder || rec.Epoch != s.holderAt {
		s.holder, s.holderAt = rec.Holder, rec.Epoch
		h.HolderOpened, h.HolderSince, h.LostSince = false, time.Time{}, time.Time{}
		if !s.openAt.IsZero() {
			h.LastOpen = s.openAt
		}
		h.OpenedAt, s.openAt = time.Time{}, time.Time{}
		if !rec.Holder.Nobody() {
			h.HolderSince = o.Now
		}
	}
	if rec.Holder.Nobody() {
		return *h
	}
	for i := range o.Members {
		m := &o.Members[i]
		switch {
		case m.Name == rec.Holder.Member:
			if m.Heard() && m.State.OpenEpoch == rec.Epoch {
				h.HolderOpened = true
				s.openAt = m.HeardAt
				if h.OpenedAt.IsZero() {
					h.OpenedAt = m.HeardAt
				}
			}
		case streaming(m):
			h.LostSince = time.Time{}
		case h.LostSince.IsZero():
			h.LostSince = o.Now
		}
	}
	return *h
}

func streaming(m *failover.Member) bool {
	return m.Heard() && m.State.Server != nil && m.State.Server.Receiver.Running
}

// learned keeps what was read.
func (s *session) learned(rec failover.Authority) {
	if rec.Reading == failover.Read {
		known := rec.Record
		s.remembered = &known
	}
}
