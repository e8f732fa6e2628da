//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

var cluster *harness.Cluster

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if cluster, err = harness.Connect(); err != nil {
		return 0, err
	}
	if err := cluster.Install(ctx); err != nil {
		return 0, err
	}
	if err := cluster.AwaitLeader(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// scene is a namespace for one case, which is dumped if the case fails and then removed.
type scene struct {
	*testing.T
	ctx       context.Context
	namespace string
	ends      *ending
}

// ending is what has to be done when a scene ends, once, last first.
type ending struct {
	once  sync.Once
	steps []func()
	last  []func()
}

func newScene(t *testing.T, name string) *scene {
	t.Helper()
	return openScene(t, t, name)
}

// openScene makes a scene that is used by t and ends with the test it is for, or before.
func openScene(t, whole *testing.T, name string) *scene {
	t.Helper()
	namespace, err := cluster.NewNamespace(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{
		T:         t,
		ctx:       t.Context(),
		namespace: namespace,
		ends:      &ending{},
	}
	whole.Cleanup(func() { s.end(whole) })
	return s
}

// onEnd has something done when the scene ends, before its namespace is removed.
func (s *scene) onEnd(step func()) { s.ends.steps = append(s.ends.steps, step) }

// afterEnd has something done when the scene's namespace has been removed.
func (s *scene) afterEnd(step func()) { s.ends.last = append(s.ends.last, step) }

// end dumps the scene if the test failed, and removes it.
func (s *scene) end(t *testing.T) {
	t.Helper()
	s.ends.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if t.Failed() {
			dir, err := cluster.Dump(ctx, t.Name(), s.namespace)
			t.Logf("evidence: %s (%v)", dir, err)
		}
		for _, step := range slices.Backward(s.ends.steps) {
			step()
		}
		if t.Failed() && os.Getenv("E2E_KEEP") != "" {
			return
		}
		if err := cluster.DeleteNamespace(ctx, s.namespace); err != nil {
			t.Log(err) // a slow machine is no defect of the pair; TestDeletionKeepsData judges deletion
		}
		for _, step := range slices.Backward(s.ends.last) {
			step()
		}
	})
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// pair applies a pair, without waiting for it.
func (s *scene) pair(name string, patches ...string) *harness.Pair {
	s.Helper()
	p := cluster.Pair(s.namespace, name)
	s.must(p.Apply(s.ctx, patches...))
	return p
}

// readyPair applies a pair and waits until it could fail over.
func (s *scene) readyPair(name string, patches ...string) *harness.Pair {
	s.Helper()
	p := s.pair(name, patches...)
	s.must(p.AwaitReady(s.ctx))
	return p
}

func (s *scene) primary(p *harness.Pair) string {
	s.Helper()
	member, err := p.Primary(s.ctx)
	s.must(err)
	return member
}

func (s *scene) sql(p *harness.Pair, member, statements string) string {
	s.Helper()
	out, err := p.SQL(s.ctx, member, statements)
	s.must(err)
	return out
}

// awaitComplaint waits until the pair's status and an event both hold all the fragments:
// what is wrong, and what to do.
func (s *scene) awaitComplaint(p *harness.Pair, fragments ...string) {
	s.Helper()
	s.must(harness.Eventually(s.ctx, harness.Patience, "complaint of "+p.Name, func(ctx context.Context) error {
		object, err := p.Object(ctx)
		if err != nil {
			return err
		}
		said := false
		for _, c := range object.Status.Conditions {
			said = said || containsAll(c.Reason+": "+c.Message, fragments)
		}
		if !said {
			return harness.NotYet("no condition says %q: %s", fragments, harness.Conditions(object))
		}
		var events corev1.EventList
		if err := p.List(ctx, &events, client.InNamespace(p.Namespace)); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Type == corev1.EventTypeWarning && e.InvolvedObject.Name == p.Name && containsAll(e.Reason+": "+e.Message, fragments) {
				return nil
			}
		}
		return harness.NotYet("the condition says it, but no warning event says %q", fragments)
	}))
}

func containsAll(text string, fragments []string) bool {
	for _, f := range fragments {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(f)) {
			return false
		}
	}
	return true
}
