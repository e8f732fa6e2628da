package status

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// CopyOf is how far the member's copy is; nil when it makes none.
func CopyOf(s *agentapi.State) *v1alpha1.MemberCopy {
	if s.Phase != agentapi.PhaseSeeding || s.Seed == nil {
		return nil
	}
	out := &v1alpha1.MemberCopy{
		Stage:          s.Seed.Stage,
		Bytes:          s.Seed.Bytes,
		EstimatedBytes: s.Seed.Estimated,
		BytesPerSecond: s.Seed.BytesPerSecond,
	}
	if left := s.Seed.Remaining.Round(time.Second); left > 0 {
		out.Remaining = &metav1.Duration{Duration: left}
	}
	return out
}
