package controllers

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clientevents "k8s.io/client-go/tools/events"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// plain is client-go's recorder where the manager's, which can annotate, is asked for.
type plain struct{ clientevents.EventRecorder }

func (p plain) AnnotatedEventf(about, related runtime.Object, _ map[string]string, kind, reason, action, note string, args ...any) {
	p.Eventf(about, related, kind, reason, action, note, args...)
}

// TestEachMemberHasItsEvent: client-go would take the second member's event for the first
// one's again, and nobody would read its note.
func TestEachMemberHasItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := fake.NewClientset()
		broadcaster := clientevents.NewBroadcaster(&clientevents.EventSinkImpl{Interface: api.EventsV1()})
		defer broadcaster.Shutdown()
		if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		scheme := runtime.NewScheme()
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			t.Fatal(err)
		}
		r := &PairReconciler{Events: plain{broadcaster.NewRecorder(scheme, "dbpair")}}
		v := &visit{
			name: types.NamespacedName{Namespace: "ns", Name: "shop"}, session: newSession("u", &lease.Store{}, time.Now()),
			pair: &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
				Namespace:       "ns",
				Name:            "shop",
				UID:             "u",
				ResourceVersion: "7",
			}},
		}
		for _, name := range []pair.MemberName{"shop-0", "shop-1"} {
			r.tellMember(v, &failover.Member{Name: name, Pod: failover.Pod{UID: pair.PodUID("uid-" + name), Problem: "Unschedulable: no room"}})
			time.Sleep(time.Microsecond) // an event is named after its time
		}
		time.Sleep(time.Second)
		synctest.Wait()
		list, err := api.EventsV1().Events("ns").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		for _, e := range list.Items {
			notes = append(notes, e.Note)
		}
		all := strings.Join(notes, "\n")
		if len(notes) != 2 || !strings.Contains(all, "shop-0: ") || !strings.Contains(all, "shop-1: ") {
			t.Errorf("events: %q", notes)
		}
	})
}

// TestAnotherTopicIsNews: of a rule that speaks of one claim, then of both, each has one event. Ages in what a rule says are no news.
func TestAnotherTopicIsNews(t *testing.T) {
	said := &events{}
	r := &PairReconciler{Events: said}
	v := &visit{
		name:    types.NamespacedName{Namespace: "ns", Name: "shop"},
		session: newSession("u", &lease.Store{}, time.Now()),
		pair:    &v1alpha1.DatabasePair{},
	}
	for _, plan := range []failover.Plan{
		{Fact: "one claim", Topic: "one"},
		{Fact: "one claim", Topic: "one"},
		{Fact: "both claims", Topic: "both"},
		{Fact: "both claims, for 3 s", Topic: "both"},
	} {
		plan.Kind = failover.Holds
		plan.Rule = failover.RuleVolumeClaimDeleting
		r.tell(v, failover.Observation{}, plan)
	}
	if len(said.list) != 2 || !strings.Contains(said.list[0], "one claim") || !strings.Contains(said.list[1], "both claims") {
		t.Errorf("events: %q", said.list)
	}
}

func TestHousekeepingIsNoNews(t *testing.T) {
	for name, tc := range map[string]struct {
		kind failover.Kind
		step failover.Step
		want bool
	}{
		"labels":                         {failover.Acts, failover.LabelPod{}, true},
		"a finalizer":                    {failover.Acts, failover.RemoveFinalizer{}, true},
		"an agent is asked to look":      {failover.Acts, failover.ReadLease{}, true},
		"the Service to a door":          {failover.Acts, failover.PointService{Leads: failover.LeadsDoor}, true},
		"the Service to a mysqld":        {failover.Acts, failover.PointService{Leads: failover.LeadsOpen}, false},
		"a change of the authority":      {failover.Acts, failover.ChangeAuthority{}, false},
		"a doubt that moves the Service": {failover.Doubts, failover.PointService{Leads: failover.LeadsDoor}, false},
	} {
		t.Run(name, func(t *testing.T) {
			plan := failover.Plan{Kind: tc.kind, Steps: []failover.Step{tc.step}}
			if got := housekeeping(plan); got != tc.want {
				t.Errorf("housekeeping = %t, want %t", got, tc.want)
			}
		})
	}
}
