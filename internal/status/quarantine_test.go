package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestTheStatusNamesWhatWasRemovedFromAQuarantine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	removed := &agentapi.QuarantineRemoval{
		At:      at,
		Entries: []agentapi.QuarantineRemoved{{Name: "data-a"}, {Name: "data-b"}},
		Total:   2,
		Bytes:   300,
	}
	named := &v1alpha1.QuarantineRemoval{
		Time:    metav1.NewTime(at.Truncate(time.Second)),
		Entries: []string{"data-a", "data-b"},
		Total:   2,
		Bytes:   300,
	}
	for name, c := range map[string]struct {
		use  *agentapi.QuarantineUse
		old  *v1alpha1.MemberQuarantine
		want *v1alpha1.MemberQuarantine
	}{
		"an agent that has not measured it": {
			old:  &v1alpha1.MemberQuarantine{Entries: 3},
			want: &v1alpha1.MemberQuarantine{Entries: 3},
		},
		"an empty one is not worth a word": {use: &agentapi.QuarantineUse{Limit: 100}},
		"what it takes, and why it stays": {
			use:  &agentapi.QuarantineUse{Entries: 2, Bytes: 200, Kept: "the ledger is solo(shop-0)"},
			want: &v1alpha1.MemberQuarantine{Entries: 2, Bytes: 200, Kept: "the ledger is solo(shop-0)"},
		},
		"a removal": {
			use:  &agentapi.QuarantineUse{Removal: removed},
			want: &v1alpha1.MemberQuarantine{LastRemoval: named},
		},
		"a removal by an agent that was restarted since": {
			use:  &agentapi.QuarantineUse{Entries: 1, Bytes: 100},
			old:  &v1alpha1.MemberQuarantine{LastRemoval: named},
			want: &v1alpha1.MemberQuarantine{Entries: 1, Bytes: 100, LastRemoval: named},
		},
	} {
		if diff := cmp.Diff(c.want, quarantine(c.use, c.old)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	p := &v1alpha1.DatabasePair{Status: v1alpha1.DatabasePairStatus{Members: []v1alpha1.MemberStatus{
		{Name: "shop-0", Quarantine: &v1alpha1.MemberQuarantine{LastRemoval: named}}, {Name: "shop-1"},
	}}}
	later := *removed
	later.At = at.Add(time.Second)
	if !HasRemoval(p, "shop-0", *removed) || HasRemoval(p, "shop-0", later) || HasRemoval(p, "shop-1", *removed) {
		t.Error("a removal is taken for another one")
	}
}
