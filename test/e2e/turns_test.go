//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestRolloutsTakeTurns: two pairs get a change at the same time. With --max-parallel-rollouts=1,
// which is the default, the second one waits for the first, and says so.
func TestRolloutsTakeTurns(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "turns")
	pairs := []*harness.Pair{s.pair("first", faultSpec), s.pair("second", faultSpec)}
	before := map[string]string{}
	for _, p := range pairs {
		s.must(p.AwaitReady(s.ctx))
		for name, uid := range s.uids(p) {
			before[name] = uid
		}
	}
	for _, p := range pairs {
		s.must(p.PatchSpec(s.ctx, "podTemplate: {metadata: {labels: {team: web}}}"))
	}
	waited := false
	s.must(harness.Eventually(s.ctx, 2*harness.Patience, "both pairs rolled out", func(context.Context) error {
		midway := 0
		done := 0
		for _, p := range pairs {
			made := s.recreated(p, before)
			if made > 0 && made < 2 {
				midway++
			}
			object, err := p.Object(s.ctx)
			if err != nil {
				return err
			}
			ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
			waited = waited || (ready != nil && strings.Contains(ready.Message, "its turn comes after"))
			if made == 2 && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
				done++
			}
		}
		if midway > 1 {
			t.Fatalf("both pairs are in the middle of their rollouts")
		}
		if done < len(pairs) {
			return harness.NotYet("%d of %d pairs are rolled out", done, len(pairs))
		}
		return nil
	}))
	if !waited {
		t.Error("no pair said that it waited for its turn")
	}
}

// uids are those of a pair's pods, by name. A pod that is not there has none.
func (s *scene) uids(p *harness.Pair) map[string]string {
	s.Helper()
	uids := map[string]string{}
	for _, member := range p.Members() {
		if pod, err := p.Pod(s.ctx, member); err == nil {
			uids[pod.Name] = string(pod.UID)
		}
	}
	return uids
}

// recreated is how many of a pair's pods are not those from before.
func (s *scene) recreated(p *harness.Pair, before map[string]string) int {
	s.Helper()
	made := 0
	for name, uid := range s.uids(p) {
		if before[name] != uid {
			made++
		}
	}
	return made
}
