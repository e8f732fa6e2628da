//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestChart: the operator comes, changes and goes while the database serves. It does not
// run beside others, since it takes the operator away.
func TestChart(t *testing.T) {
	s := newScene(t, "chart")
	p := s.readyPair("shop")
	clients, err := p.StartClients(s.ctx)
	s.must(err)
	s.must(clients.Write(s.ctx, 2, 20*time.Millisecond))
	before := s.pods(p)

	t.Run("an upgrade restarts no mysqld", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.Install(s.ctx, "podAnnotations.upgraded=yes"))
		s.must(cluster.AwaitLeader(s.ctx))
		s.must(p.AwaitReady(s.ctx))
		s.samePods(p, before)
	})
	t.Run("uninstall deletes no pair, and the pair serves on", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.Uninstall(s.ctx))
		s.reinstallAfter()
		s.must(harness.Consistently(s.ctx, 12*time.Second, "writes without an operator", func(ctx context.Context) error {
			return clients.AwaitAcks(ctx, 30*time.Second, 5)
		}))
		if _, err := p.Object(s.ctx); err != nil {
			t.Error(err)
		}
		s.samePods(p, before)
	})
	t.Run("an operator that comes back finds its pair", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.AwaitLeader(s.ctx))
		s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionReady, v1alpha1.ConditionFailoverReady)...))
		s.samePods(p, before)
	})
	report, err := clients.Stop(s.ctx)
	s.must(err)
	for _, a := range report.Attempts {
		if !a.Acknowledged() {
			t.Errorf("a write failed though nothing happened to the database: %+v", a)
			break
		}
	}
}

// TestWatchNamespaces: an operator with a list looks after those namespaces with Roles
// in them, and after no other.
func TestWatchNamespaces(t *testing.T) {
	s := newScene(t, "watched")
	other := newScene(t, "unwatched")
	s.reinstallAfter()
	s.must(cluster.Install(s.ctx, "watchNamespaces[0]="+s.namespace))
	s.must(cluster.AwaitLeader(s.ctx))
	ignored := other.pair("shop")
	s.readyPair("shop")
	var roles rbacv1.RoleList
	s.must(cluster.List(s.ctx, &roles, client.InNamespace(s.namespace)))
	if len(roles.Items) < 2 {
		t.Errorf("the operator has no Role in %s: %d roles", s.namespace, len(roles.Items))
	}
	object, err := ignored.Object(s.ctx)
	s.must(err)
	if len(object.Status.Conditions) > 0 {
		t.Errorf("a pair of another namespace was looked after: %s", harness.Conditions(object))
	}
	s.must(cluster.Install(s.ctx, "watchNamespaces=null"))
	s.must(cluster.AwaitLeader(s.ctx))
	s.must(ignored.AwaitReady(s.ctx))
}

// TestKustomize: config/default is an operator too.
func TestKustomize(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "kustomize")
	s.reinstallAfter()
	former := s.readyPair("former")
	holder := s.primary(former)
	s.must(cluster.Uninstall(s.ctx))
	s.deletedWithoutOperator(former, holder)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := cluster.Unkustomize(ctx); err != nil {
			t.Error(err)
		}
	})
	s.must(cluster.Kustomize(s.ctx))
	s.must(cluster.AwaitLeader(s.ctx))
	s.must(s.gone(former, holder)) // the operator that came lets the pod go
	s.readyPair("shop")
}

// deletedWithoutOperator deletes a pair while no operator runs: nothing holds the pair,
// and of its pods only the holder's stays, without a process, for an operator to see.
func (s *scene) deletedWithoutOperator(p *harness.Pair, holder string) {
	s.Helper()
	s.must(p.Remove(s.ctx))
	s.must(harness.Eventually(s.ctx, harness.Patience, "end of the pair's processes", func(ctx context.Context) error {
		if _, err := p.Object(ctx); !apierrors.IsNotFound(err) {
			return harness.NotYet("the pair is still there: %v", err)
		}
		for _, member := range p.Members() {
			pod, err := p.Pod(ctx, member)
			switch {
			case apierrors.IsNotFound(err) && member != holder:
			case err != nil:
				return err
			case pod.Status.ContainerStatuses[0].State.Terminated == nil:
				return harness.NotYet("%s still runs", member)
			}
		}
		return nil
	}))
}

func (s *scene) gone(p *harness.Pair, member string) error {
	return harness.Eventually(s.ctx, harness.Patience, "removal of "+member, func(ctx context.Context) error {
		if _, err := p.Pod(ctx, member); !apierrors.IsNotFound(err) {
			return harness.NotYet("still there: %v", err)
		}
		return nil
	})
}

// reinstallAfter brings the chart back as the other tests want it.
func (s *scene) reinstallAfter() {
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := cluster.Install(ctx); err != nil {
			s.Error(err)
		}
		if err := cluster.AwaitLeader(ctx); err != nil {
			s.Error(err)
		}
	})
}

func (s *scene) pods(p *harness.Pair) []*corev1.Pod {
	s.Helper()
	var pods []*corev1.Pod
	for _, member := range p.Members() {
		pod, err := p.Pod(s.ctx, member)
		s.must(err)
		pods = append(pods, pod)
	}
	return pods
}

func (s *scene) samePods(p *harness.Pair, before []*corev1.Pod) {
	s.Helper()
	for i, now := range s.pods(p) {
		if now.UID != before[i].UID || now.Status.ContainerStatuses[0].RestartCount != before[i].Status.ContainerStatuses[0].RestartCount {
			s.Errorf("%s was restarted", now.Name)
		}
	}
}
