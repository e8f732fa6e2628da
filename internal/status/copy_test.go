package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestTheStatusSaysHowFarACopyIs(t *testing.T) {
	half := agentapi.SeedProgress{
		Stage:          "FILE COPY",
		Bytes:          50,
		Estimated:      100,
		BytesPerSecond: 10,
		Remaining:      5*time.Second + time.Millisecond,
	}
	for name, c := range map[string]struct {
		state agentapi.State
		want  *v1alpha1.MemberCopy
	}{
		"no copy":       {state: agentapi.State{Phase: agentapi.PhaseClosed, Seed: &half}},
		"not begun yet": {state: agentapi.State{Phase: agentapi.PhaseSeeding}},
		"its first stage has no figures": {
			state: agentapi.State{Phase: agentapi.PhaseSeeding, Seed: &agentapi.SeedProgress{Stage: "initialize"}},
			want:  &v1alpha1.MemberCopy{Stage: "initialize"},
		},
		"half of it": {
			state: agentapi.State{Phase: agentapi.PhaseSeeding, Seed: &half},
			want: &v1alpha1.MemberCopy{
				Stage:          "FILE COPY",
				Bytes:          50,
				EstimatedBytes: 100,
				BytesPerSecond: 10,
				Remaining:      &metav1.Duration{Duration: 5 * time.Second},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, CopyOf(&c.state)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
