package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientevents "k8s.io/client-go/tools/events"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
)

func TestARemovalFromAQuarantineIsReportedOnce(t *testing.T) {
	recorder := clientevents.NewFakeRecorder(10)
	r := &PairReconciler{Events: plain{recorder}}
	at := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	m := &failover.Member{Name: "shop-1", State: &agentapi.State{Quarantine: &agentapi.QuarantineUse{
		Removal: &agentapi.QuarantineRemoval{
			At:    at,
			Total: 1,
			Bytes: 4096,
			Entries: []agentapi.QuarantineRemoved{{
				Name:    "data-a",
				Kind:    agentapi.QuarantineData,
				SavedAt: at.AddDate(0, 0, -30),
				GTIDs:   "11111111-1111-1111-1111-111111111111:1-8",
			}},
		},
	}}}
	fresh := func() *visit {
		return &visit{
			name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
			session: newSession("u", &lease.Store{}, time.Now()),
			pair:    &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}},
		}
	}
	v := fresh()
	r.tellPruned(v, m)
	r.tellPruned(v, m)
	if len(recorder.Events) != 1 {
		t.Fatalf("%d events, want 1", len(recorder.Events))
	}
	got := <-recorder.Events
	want := "Normal QuarantinePruned shop-1: removed 1 entries of 4096 bytes from its quarantine by spec.rejoin.quarantineRetention: " +
		"data-a (Data, saved 2026-01-01, 11111111-1111-1111-1111-111111111111:1-8)"
	if !strings.Contains(got, want) {
		t.Errorf("event %q, want %q", got, want)
	}
	next := fresh() // an operator that found the status of the one before
	next.pair.Status.Members = []v1alpha1.MemberStatus{{
		Name:       "shop-1",
		Quarantine: &v1alpha1.MemberQuarantine{LastRemoval: &v1alpha1.QuarantineRemoval{Time: metav1.NewTime(at)}},
	}}
	r.tellPruned(next, m)
	if len(recorder.Events) != 0 {
		t.Errorf("the next operator reports it again: %q", <-recorder.Events)
	}
}
