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

// view is what an observation found beside what Decide is asked about.
type view struct {
	pods [2]*corev1.Pod
	// containers are the mysqld containers last seen in these pods.
	containers [2]cluster.Seen
	// absences are about the members that have no pod.
	absences [2]absence
	claims   []corev1.PersistentVolumeClaim
	// strangers have a member's name but are not known to be its pod.
	strangers  []*corev1.Pod
	operations []v1alpha1.DatabasePairOperation
	// jobs are the operations that a Job is doing.
	jobs []string
	// foreignLease says that the Lease of the pair's name is not the pair's.
	foreignLease error
	// statefulSet is its UID; empty while there is none.
	statefulSet types.UID
	// scale is how many pods the StatefulSet asks for.
	scale failover.StatefulSet
	// unprocessed says why it is not known yet whether the members run this generation.
	unprocessed string
	// unread says which agent was not given the settings of this generation yet; empty for none.
	unread string
	// unsettled names the volumes whose end does not follow the spec yet.
	unsettled string
}

// observe gathers everything Decide wants to know, and the rest that this reconcile needs. It
// changes nothing, neither in the cluster nor in the session: see session.remember. Agents
// come before the authority: one that knows a higher epoch than an authority read afterwards
// shows that it went back.
func (r *PairReconciler) observe(ctx context.Context, v *visit) (failover.Observation, view, error) {
	var seen view
	o := failover.Observation{
		Settings: r.settings(v.pair),
		Evidence: v.session.book,
		FreshID:  string(uuid.NewUUID()),
	}
	var err error
	if o.Members, err = r.observeMembers(ctx, v, &seen); err != nil {
		return o, seen, err
	}
	if o.Service, err = r.observeService(ctx, v); err != nil {
		return o, seen, err
	}
	if o.Operations, err = r.observeOperations(ctx, v.pair, &seen); err != nil {
		return o, seen, err
	}
	v.session.serveds(o.Operations)
	o.Jobs = seen.jobs
	o.StatefulSet = seen.scale
	o.Authority, seen.foreignLease = r.observeAuthority(ctx, v)
	if o.Authority.Reading == failover.Missing {
		if err := cluster.StillThere(ctx, r.Live, v.pair); err != nil {
			return o, seen, err
		}
	}
	// Seen means after the read, not before: waits are counted from here.
	o.Now = r.Now()
	o.Kept = r.kept(v, seen.operations)
	o.Refused = v.session.writes.repeated(o.Now)
	o.History = v.session.history.Next(o)
	return o, seen, nil
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
		ReseedsDiverged:    s.Rejoin.OnDivergence == v1alpha1.ReseedDiverged,
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
		Hibernate:          s.Hibernate,
		DrainTimeout:       s.Switchover.DrainTimeout.Duration,
		AutomaticRollout:   s.Rollout.Mode != v1alpha1.RolloutOnDelete,
		Copies:             s.Bootstrap != nil,
		AgentVersion:       r.Version,

		AutomaticAgentUpdate: s.Agent.Update == v1alpha1.AgentUpdateAutomatic,
	}
}

// observeMembers adds to the view what it finds of pods, volume claims and the StatefulSet.
func (r *PairReconciler) observeMembers(ctx context.Context, v *visit, seen *view) ([2]failover.Member, error) {
	var out [2]failover.Member
	var set appsv1.StatefulSet
	if _, err := r.Applier.Find(ctx, v.pair, v.name, &set); errors.Is(err, cluster.ErrForeign) {
		set = appsv1.StatefulSet{}
	} else if err != nil {
		return out, err
	}
	for i, o := range ordinals {
		from := owners{set: &set}
		for _, one := range sizedClaims(v.pair, o) {
			claim, err := r.readClaim(ctx, v, seen, one.name)
			if err != nil {
				return out, err
			}
			from.claims = append(from.claims, claim)
		}
		var err error
		if out[i], err = r.observeMember(ctx, v, seen, o, from); err != nil {
			return out, err
		}
	}
	seen.statefulSet = set.UID
	seen.scale = scaleOf(&set)
	seen.unprocessed = cmp.Or(unprocessed(v.pair, &set), seen.unread)
	seen.unsettled = unsettledVolumes(v.pair, &set, seen.claims)
	return out, nil
}

// readClaim reads a volume claim; one that is not there has no name.
func (r *PairReconciler) readClaim(ctx context.Context, v *visit, seen *view, name string) (corev1.PersistentVolumeClaim, error) {
	var claim corev1.PersistentVolumeClaim
	err := cluster.Read(ctx, r.Client, r.Live, types.NamespacedName{Namespace: v.pair.Namespace, Name: name}, &claim)
	switch {
	case err == nil:
		seen.claims = append(seen.claims, claim)
	case apierrors.IsNotFound(err):
		return corev1.PersistentVolumeClaim{}, nil
	default:
		return claim, fmt.Errorf("read volume claim %s: %w", name, err)
	}
	return claim, nil
}

// scaleOf is how many pods a StatefulSet asks for; nothing is known about one that is not there.
func scaleOf(set *appsv1.StatefulSet) failover.StatefulSet {
	if set.UID == "" || set.Spec.Replicas == nil {
		return failover.StatefulSet{}
	}
	return failover.StatefulSet{
		Reading:  failover.Read,
		Version:  set.ResourceVersion,
		Replicas: int(*set.Spec.Replicas),
	}
}

// owners are the objects that a member's pod is made from. What is not there has no name.
type owners struct {
	set    *appsv1.StatefulSet
	claims []corev1.PersistentVolumeClaim // the data's first
}

// observeMember looks at one member.
func (r *PairReconciler) observeMember(
	ctx context.Context, v *visit, seen *view, o pair.Ordinal, from owners,
) (failover.Member, error) {
	m := failover.Member{Name: o.Member(v.pair.Name)}
	if data := &from.claims[0]; data.Name != "" {
		m.MadeForPair = failover.Known(!data.CreationTimestamp.Before(&v.pair.CreationTimestamp))
	}
	m.DeletingClaim = claimInDeletion(from.claims)
	m.ClaimDeleting = m.DeletingClaim != ""
	pod, reading, err := r.readMemberPod(ctx, v, seen, o)
	if err != nil || reading != failover.Read {
		m.Pod.Reading = reading
		if reading == failover.Missing {
			m.Pod.Problem = v.session.podEvents.warnings[o]
		}
		return m, err
	}
	seen.pods[o] = pod.DeepCopy()
	seen.containers[o] = v.session.containers.of(pair.PodUID(pod.UID)).Update(pod)
	m.Pod = r.observePod(ctx, pod, seen.containers[o])
	m.Pod.RestartAsked = v.pair.Annotations[v1alpha1.AnnotationRestartPrefix+pod.Name] == string(pod.UID)
	m.Pod.NeverRan = neverRan(pod)
	m.Pod.Problem = podProblem(pod, from.claims)
	if m.Pod.NeverRan {
		m.Pod.Problem = cmp.Or(m.Pod.Problem, v.session.podEvents.warnings[o])
	}
	facts := r.Agents.facts(v.name, m.Name, m.Pod.UID)
	m.Reach = facts.Reach
	m.State = facts.State
	settings := settingsOf(pod, from.set, v.session.taken[o].remember(pod, facts.State))
	m.Pod.Outdated = outdated(pod, from.set, settings)
	if settings.unread {
		why := fmt.Sprintf("the agent of %s has not read the settings of generation %d of the spec yet", pod.Name, v.pair.Generation)
		seen.unread = cmp.Or(seen.unread, why)
	}
	m.HeardAt = facts.HeardAt
	m.SilentSince = facts.SilentSince
	if m.Pod.IP == "" {
		m.Reach = failover.NoPodIP
	}
	return m, nil
}

// claimInDeletion is the first claim whose deletion was accepted; empty for none.
func claimInDeletion(claims []corev1.PersistentVolumeClaim) string {
	for i := range claims {
		if claims[i].DeletionTimestamp != nil {
			return claims[i].Name
		}
	}
	return ""
}

func (r *PairReconciler) observePod(ctx context.Context, pod *corev1.Pod, containers cluster.Seen) failover.Pod {
	out := failover.Pod{
		Reading:   failover.Read,
		UID:       pair.PodUID(pod.UID),
		Node:      pod.Spec.NodeName,
		IP:        pod.Status.PodIP,
		CreatedAt: pod.CreationTimestamp.Time,
		Deleting:  pod.DeletionTimestamp != nil,
		Fenced:    hasFinalizer(pod),
		Labels:    pod.Labels,
		Ended:     cluster.PodFacts(pod, containers),
	}
	if pod.DeletionTimestamp != nil {
		out.EndsAt = pod.DeletionTimestamp.Time // the API server adds the grace period to it
	}
	if out.Node == "" {
		return out
	}
	var node corev1.Node
	if err := r.Client.Get(ctx, types.NamespacedName{Name: out.Node}, &node); err == nil {
		out.NodeOutOfService = failover.Known(cluster.OutOfService(&node))
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
// others. foreign is why the Lease of the pair's name is not the pair's.
func (r *PairReconciler) observeAuthority(ctx context.Context, v *visit) (out failover.Authority, foreign error) {
	out.AskedAt = r.Now()
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	rec, version, err := v.session.store.Read(ctx)
	switch {
	case err == nil:
		out.Reading = failover.Read
		out.Record = rec
		out.Version = version
	case errors.Is(err, lease.ErrMissing):
		out.Reading = failover.Missing
	case errors.Is(err, authority.ErrNotAuthentic):
		out.Reading = failover.NotAuthentic
		out.Version = version
		out.Problem = err.Error()
	case errors.Is(err, lease.ErrForeign):
		foreign = err
		out.Problem = err.Error()
	case errors.Is(err, lease.ErrMalformed):
		out.Reading = failover.Malformed
		out.Version = version
		out.Problem = err.Error()
	default:
		out.Problem = err.Error()
	}
	return out, foreign
}

const leaseTimeout = 5 * time.Second

// kept is what the pair's status and the operations about it say of former observations.
func (r *PairReconciler) kept(v *visit, operations []v1alpha1.DatabasePairOperation) failover.Kept {
	k := failover.Kept{Epoch: pair.Epoch(v.pair.Status.Epoch)}
	accepted, err := status.Accepted(v.pair)
	if err != nil {
		v.log.Error(err, "the record that the status keeps is not used")
	}
	k.Accepted = accepted
	for i := range operations {
		op := &operations[i]
		if op.Status.StartTime != nil {
			// The object is one write and what it says another: an operator may have ended in between.
			k.Begun = append(k.Begun, op.Name)
		}
		at := op.Status.CompletionTime
		if at == nil || ofFormerPair(op, v.pair) != "" {
			continue
		}
		if byOperator(op) && op.Spec.Type == v1alpha1.OperationSwitchover {
			k.Rollouts = append(k.Rollouts, failover.EndedRollout{
				Name:      op.Name,
				At:        at.Time,
				Succeeded: op.Status.Phase == v1alpha1.OperationSucceeded,
				Message:   op.Status.Message,
			})
		}
		if automaticFailover(op) && r.Now().Sub(at.Time) < time.Hour {
			k.Failovers = append(k.Failovers, at.Time)
		}
	}
	return k
}
