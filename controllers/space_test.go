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

func TestLowSpaceIsReportedAtEachShare(t *testing.T) {
	recorder := clientevents.NewFakeRecorder(10)
	r := &PairReconciler{Events: plain{recorder}}
	v := &visit{
		name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
		session: newSession("u", &lease.Store{}, time.Now()),
		pair:    &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}},
	}
	m := &failover.Member{Name: "shop-1"}
	r.tellVolumeLow(v, m) // an agent that does not answer
	for i, step := range []struct {
		low    int
		events int
	}{{0, 0}, {20, 1}, {20, 0}, {10, 1}, {20, 1}, {0, 0}, {20, 1}} {
		m.State = &agentapi.State{VolumeLow: step.low}
		r.tellVolumeLow(v, m)
		if got := len(recorder.Events); got != step.events {
			t.Errorf("step %d, below %d %%: %d events, want %d", i, step.low, got, step.events)
		}
		for len(recorder.Events) > 0 {
			<-recorder.Events
		}
	}
	m.State = &agentapi.State{VolumeLow: 20, BinlogVolumeLow: 10}
	r.tellVolumeLow(v, m)
	if len(recorder.Events) != 1 {
		t.Fatalf("%d events about the volume of the binary logs", len(recorder.Events))
	}
	if said := <-recorder.Events; !strings.Contains(said, "BinlogVolumeLow") || !strings.Contains(said, "spec.storage.binlog.size") {
		t.Errorf("said %q", said)
	}
}
