//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	corev1 "k8s.io/api/core/v1"
)

// TestChart: the operator comes, changes and goes while the database serves. It does not
// run beside others, since it takes the operator away.
func TestChart(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "chart")
	p := s.readyPair("shop")
	clients, err := p.StartClients(s.ctx)
	s.must(err)
	s.must(clients.Write(s.ctx, 2, 20*time.Millisecond))
	before := s.pods(p)

	t.Run("an upgrade restarts no mysqld", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.Install(s.ctx, "podAnnotations.upgraded=yes"))
		s.must(cluster.AwaitLeader(s.ctx, time.Minute))
		s.must(p.AwaitReady(s.ctx, readyWithin))
		s.samePods(p, before)
	})
	t.Run("uninstall deletes no pair, and the pair serves on", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.Uninstall(s.ctx))
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
			defer cancel()
			if err := cluster.Install(ctx); err != nil {
				t.Error(err)
			}
		})
		s.must(harness.Consistently(s.ctx, 12*time.Second, "writes without an operator", func(ctx context.Context) error {
			return clients.AwaitAcks(ctx, 5*time.Second, 5)
		}))
		if _, err := p.Object(s.ctx); err != nil {
			t.Error(err)
		}
		s.samePods(p, before)
	})
	t.Run("an operator that comes back finds its pair", func(t *testing.T) {
		s := s.sub(t)
		s.must(cluster.AwaitLeader(s.ctx, time.Minute))
		s.must(p.Await(s.ctx, readyWithin, harness.True(v1alpha1.ConditionReady, v1alpha1.ConditionFailoverReady)...))
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
