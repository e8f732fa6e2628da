package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

// drillStage is a pair in order with drills at every full hour, its controller, and a clock that
// stands still at 03:00.
type drillStage struct {
	*testing.T
	r      *PairReconciler
	c      client.Client
	p      *v1alpha1.DatabasePair
	v      *visit
	now    time.Time
	events events
}

const hourlyUTC = "0 * * * * Etc/UTC"

func newDrillStage(t *testing.T, change func(*v1alpha1.DatabasePair)) *drillStage {
	t.Helper()
	all := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(all); err != nil {
		t.Fatal(err)
	}
	s := &drillStage{T: t, now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}
	s.p = &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{
		Name:              "shop",
		Namespace:         "drills",
		UID:               "pair-uid",
		CreationTimestamp: metav1.NewTime(s.now.Add(-48 * time.Hour)),
	}}
	s.p.Spec.Switchover.Drill = &v1alpha1.DrillSpec{
		Schedule:         "0 * * * *",
		TimeZone:         "Etc/UTC",
		StartingDeadline: metav1.Duration{Duration: 10 * time.Minute},
	}
	s.p.Status.Drill = &v1alpha1.DrillStatus{Schedule: hourlyUTC, Since: &metav1.Time{Time: s.now.Add(-24 * time.Hour)}}
	if change != nil {
		change(s.p)
	}
	s.c = fake.NewClientBuilder().WithScheme(all).WithObjects(s.p).
		WithStatusSubresource(&v1alpha1.DatabasePair{}, &v1alpha1.DatabasePairOperation{}).
		WithIndex(&v1alpha1.DatabasePairOperation{}, indexPair, pairOfOperation).Build()
	s.r = &PairReconciler{
		Client: s.c,
		Live:   s.c,
		Events: &s.events,
		Now:    func() time.Time { return s.now },
	}
	s.restart()
	return s
}

// restart is another process of the operator.
func (s *drillStage) restart() {
	s.v = &visit{
		name:    types.NamespacedName{Namespace: s.p.Namespace, Name: s.p.Name},
		pair:    s.p,
		session: newSession("pair-uid", &lease.Store{}, s.now),
	}
}

// look is a visit at which the pair is as the observation says; it returns when the next one is due.
func (s *drillStage) look(spoil func(*failover.Observation)) time.Duration {
	s.Helper()
	o := s.fit()
	if _, err := s.r.observeOperations(s.Context(), s.p, &s.v.view); err != nil {
		s.Fatal(err)
	}
	for i := range s.v.operations {
		s.v.operations[i].CreationTimestamp = metav1.NewTime(s.now) // the API server sets it
	}
	if spoil != nil {
		spoil(&o)
	}
	next, err := s.r.drill(s.Context(), s.v, o, failover.Decide(o))
	if err != nil {
		s.Fatal(err)
	}
	s.p.Status.Drill = drilled(s.v, s.now)
	return next
}

// made are the names of the operations.
func (s *drillStage) made() string {
	s.Helper()
	var list v1alpha1.DatabasePairOperationList
	if err := s.c.List(s.Context(), &list); err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, op := range list.Items {
		names = append(names, op.Name)
	}
	return strings.Join(names, " ")
}

// fit is what is observed of a pair in its best state: shop-0 open at epoch 3, shop-1 in sync.
func (s *drillStage) fit() failover.Observation {
	o := failover.Observation{
		Now: s.now,
		Settings: failover.Settings{
			Namespace:         "drills",
			Name:              "shop",
			UID:               "pair-uid",
			Lossless:          true,
			ContinueAlone:     true,
			AutomaticFailover: true,
			LeaseDuration:     6 * time.Second,
			SafetyMargin:      time.Second,
			DeadAfter:         5 * time.Second,
			WarnAfter:         3 * time.Second,
			ApplyTimeout:      30 * time.Second,
			PassiveTimeout:    5 * time.Second,
			MaxPerHour:        3,
		},
		Authority: failover.Authority{
			Reading: failover.Read,
			Version: "10",
			AskedAt: s.now,
			Record: authority.Record{
				PairUID:       "pair-uid",
				Epoch:         3,
				Holder:        pair.Holder{Member: "shop-0", PodUID: "pod-0"},
				LeaseDuration: 6 * time.Second,
				Appointed:     &authority.Appointed{Holder: pair.Holder{Member: "shop-0", PodUID: "pod-0"}, Epoch: 3},
				Data:          map[pair.MemberName]pair.DataID{"shop-0": "data-shop-0", "shop-1": "data-shop-1"},
				Ledger: authority.Ledger{Version: 7, State: authority.Both, Incarnations: map[pair.MemberName]pair.Incarnation{
					"shop-0": "inc-shop-0", "shop-1": "inc-shop-1",
				}},
			},
		},
		Service: failover.Service{
			Reading:   failover.Read,
			Version:   "5",
			Epoch:     3,
			Leads:     failover.LeadsOpen,
			PortLeads: failover.LeadsOpen,
			Member:    "shop-0",
		},
		History: failover.History{
			Epoch:        3,
			StartedAt:    s.now.Add(-time.Hour),
			HolderSince:  s.now.Add(-time.Hour),
			HolderOpened: true,
		},
		Evidence: fencing.NewBook(),
		FreshID:  "fresh",
	}
	for i, name := range pair.Members("shop") {
		o.Members[i] = s.member(name, pair.PodUID([]string{"pod-0", "pod-1"}[i]))
	}
	o.Evidence.SawEpoch(3, s.now.Add(-time.Hour))
	o.Members[0].Pod.Fenced = true
	o.Members[0].Pod.Labels = map[string]string{pair.LabelRole: pair.RolePrimary, pair.EpochLabel(3): "open"}
	o.Members[1].Pod.Labels = map[string]string{pair.LabelRole: pair.RolePassive, pair.LabelReadable: "true"}
	o.Members[0].State.OpenEpoch = 3
	o.Members[0].State.Phase = agentapi.PhaseOpen
	o.Members[0].State.Server.Waiting = true
	o.Members[0].State.Server.SemiSyncClients = 1
	o.Members[1].State.Server.Receiver.Running = true
	o.Members[1].State.Server.ReplicaSemiSync = true
	return o
}

func (s *drillStage) member(name pair.MemberName, uid pair.PodUID) failover.Member {
	return failover.Member{
		Name:        name,
		Reach:       failover.Answered,
		HeardAt:     s.now,
		MadeForPair: failover.Yes,
		Pod: failover.Pod{
			Reading:   failover.Read,
			UID:       uid,
			IP:        "10.0.0.1",
			CreatedAt: s.now.Add(-time.Hour),
			Ended:     fencing.PodFacts{UID: uid},
		},
		State: &agentapi.State{
			PairUID:     "pair-uid",
			Member:      name,
			PodUID:      uid,
			Phase:       agentapi.PhaseClosed,
			KnownEpoch:  3,
			ActedLedger: 7,
			DataID:      pair.DataID("data-" + string(name)),
			Mysqld:      agentapi.Mysqld{Running: true, Incarnation: pair.Incarnation("inc-" + string(name))},
			Server:      &agentapi.Server{Applier: agentapi.ChannelThread{Running: true}},
		},
	}
}

// drillMetric is the value of a metric of these pairs with this result; 0 when there is none.
func drillMetric(t *testing.T, name, result string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == "drills" && labels["result"] == result {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func TestTheScheduleMakesDrills(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.DatabasePair)
		after  time.Duration
		want   string
	}{
		"in time":                  {nil, 0, "shop-drill-202601020300"},
		"late":                     {nil, 9 * time.Minute, "shop-drill-202601020300"},
		"before":                   {nil, -time.Second, ""},
		"later than it may begin":  {nil, 11 * time.Minute, ""},
		"a day late: newest":       {nil, 24*time.Hour + time.Minute, "shop-drill-202601030300"},
		"suspended":                {func(p *v1alpha1.DatabasePair) { p.Spec.Switchover.Drill.Suspend = true }, 0, ""},
		"no schedule":              {func(p *v1alpha1.DatabasePair) { p.Spec.Switchover.Drill = nil }, 0, ""},
		"a wrong zone":             {func(p *v1alpha1.DatabasePair) { p.Spec.Switchover.Drill.TimeZone = "Mars/Olympus" }, 0, ""},
		"a schedule that is new":   {func(p *v1alpha1.DatabasePair) { p.Status.Drill = nil }, time.Minute, ""},
		"a schedule that is other": {func(p *v1alpha1.DatabasePair) { p.Status.Drill.Schedule = "5 * * * * Etc/UTC" }, time.Minute, ""},
		"a pair made after it": {func(p *v1alpha1.DatabasePair) {
			p.CreationTimestamp = metav1.NewTime(p.CreationTimestamp.Add(48*time.Hour + time.Second))
		}, time.Minute, ""},
		"one that was begun before": {func(p *v1alpha1.DatabasePair) {
			p.Status.Drill.LastScheduleTime = &metav1.Time{Time: p.Status.Drill.Since.Add(24 * time.Hour)}
		}, time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDrillStage(t, c.change)
			s.now = s.now.Add(c.after)
			next := s.look(nil)
			s.look(nil)
			if got := s.made(); got != c.want {
				t.Errorf("operations %q, want %q", got, c.want)
			}
			if next <= 0 || next > time.Hour+time.Second {
				t.Errorf("looks again after %s", next)
			}
		})
	}
}

func TestADrillIsASwitchoverToThePassive(t *testing.T) {
	s := newDrillStage(t, nil)
	s.look(nil)
	s.restart()
	s.look(nil)
	op := &v1alpha1.DatabasePairOperation{}
	if err := s.c.Get(t.Context(), client.ObjectKey{Namespace: "drills", Name: s.made()}, op); err != nil {
		t.Fatal(err)
	}
	if op.Spec.Type != v1alpha1.OperationSwitchover || op.Spec.Target != "shop-1" || !strings.Contains(op.Spec.Reason, "drill") || !byOperator(op) || !status.IsDrill(op) {
		t.Errorf("made as %+v", op)
	}
	if got := operationOf(op); !got.Drill || got.Verb != failover.VerbSwitchover {
		t.Errorf("decided on as %+v", got)
	}
	if automaticFailover(op) {
		t.Error("a drill spends the flap budget")
	}
	// Comparisons have a schedule of their own.
	if last := comparisons(s.p).lastScheduled(&jobVisit{pair: s.p, all: []v1alpha1.DatabasePairOperation{*op}}); !last.Equal(s.p.CreationTimestamp.Time) {
		t.Errorf("a drill counts as a comparison of %s", last)
	}
	if got := status.Compared(nil, []v1alpha1.DatabasePairOperation{*op}); got != nil {
		t.Errorf("a drill counts as a comparison: %+v", got)
	}
}

func TestADrillOfAPairThatIsNotFitIsSkipped(t *testing.T) {
	for name, spoil := range map[string]func(*failover.Observation){
		"spec.paused is set":      func(o *failover.Observation) { o.Settings.Paused = true },
		"operation other is not":  func(o *failover.Observation) { o.Operations = []failover.Operation{{Name: "other", Confirmed: -1}} },
		"shop-1 lags":             func(o *failover.Observation) { o.Members[1].State.Server.LagSeconds = 5 },
		"a restart of shop-0":     func(o *failover.Observation) { o.Members[0].Pod.RestartAsked = true },
		"operation c is running":  func(o *failover.Observation) { o.Jobs = []string{"c"} },
		"failover.maxPerHour":     func(o *failover.Observation) { o.History.Failovers = make([]time.Time, 3) },
		"the Lease could not be ": func(o *failover.Observation) { o.Authority.Reading = failover.Unread },
	} {
		t.Run(name, func(t *testing.T) {
			s := newDrillStage(t, nil)
			before := drillMetric(t, "dbpair_drills_total", resultSkipped)
			s.look(spoil)
			s.now = s.now.Add(drillPatience - time.Second)
			if next := s.look(spoil); next > requeueSoon || len(s.events.list) > 0 {
				t.Errorf("before its patience ends it looks again after %s and tells %q", next, s.events.list)
			}
			s.now = s.now.Add(time.Second)
			s.look(spoil)
			s.look(spoil)
			if len(s.events.list) != 1 || !strings.Contains(s.events.list[0], "Warning DrillSkipped: the drill of 2026-01-02T03:00:00Z was skipped: ") ||
				!strings.Contains(s.events.list[0], name) {
				t.Errorf("events %q", s.events.list)
			}
			if n := drillMetric(t, "dbpair_drills_total", resultSkipped) - before; n != 1 {
				t.Errorf("counted %v times", n)
			}
			d := s.p.Status.Drill
			if d.SkippedTime == nil || d.SkippedTime.Hour() != 3 || !strings.Contains(d.SkippedReason, name) || !d.LastScheduleTime.Equal(d.SkippedTime) {
				t.Errorf("status %+v", d)
			}
			// It is not made up for, by this process or another.
			s.look(nil)
			s.restart()
			s.look(nil)
			if got := s.made(); got != "" {
				t.Errorf("made %q", got)
			}
			s.now = s.now.Add(time.Hour)
			s.look(nil)
			if got := s.made(); got != "shop-drill-202601020400" {
				t.Errorf("at the next time it made %q", got)
			}
		})
	}
}

func TestADrillWaitsForAMomentOnly(t *testing.T) {
	s := newDrillStage(t, nil)
	s.look(func(o *failover.Observation) { o.Members[1].State.Server.LagSeconds = 5 })
	s.now = s.now.Add(drillPatience / 2)
	s.look(nil)
	if got := s.made(); got != "shop-drill-202601020300" || len(s.events.list) > 0 {
		t.Errorf("made %q and told %q", got, s.events.list)
	}
}

func TestDrilled(t *testing.T) {
	s := newDrillStage(t, nil)
	s.look(nil)
	s.look(nil)
	op := &s.v.operations[0]
	ended := metav1.NewMicroTime(s.now.Add(2 * time.Second))
	op.Status = v1alpha1.OperationStatus{
		Phase:          v1alpha1.OperationSucceeded,
		Rule:           string(failover.RuleDrill),
		WriteGap:       &metav1.Duration{Duration: 40 * time.Millisecond},
		StartTime:      &ended,
		CompletionTime: &ended,
	}
	want := &v1alpha1.DrillStatus{
		Schedule:         hourlyUTC,
		Since:            &metav1.Time{Time: s.now.Add(-24 * time.Hour)},
		LastScheduleTime: &metav1.Time{Time: s.now},
		Operation:        "shop-drill-202601020300",
		Time:             &metav1.Time{Time: s.now.Add(2 * time.Second)},
		Result:           v1alpha1.OperationSucceeded,
		WriteGap:         &metav1.Duration{Duration: 40 * time.Millisecond},
	}
	s.p.Status.Drill = drilled(s.v, s.now)
	if diff := cmp.Diff(want, s.p.Status.Drill); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	setDrillMetrics([]string{"drills", "shop"}, s.p.Status.Drill)
	if gap := drillMetric(t, "dbpair_drill_last_write_gap_seconds", ""); gap != 0.04 {
		t.Errorf("write gap %v", gap)
	}
	counted := drillMetric(t, "dbpair_drills_total", "Succeeded")
	s.r.finished(s.v, *op)
	if n := drillMetric(t, "dbpair_drills_total", "Succeeded") - counted; n != 1 {
		t.Errorf("counted %v times", n)
	}
	// What is known stays when the operation is gone and the schedule is taken away.
	s.v.operations = nil
	s.p.Spec.Switchover.Drill = nil
	want.Schedule = ""
	want.Since = nil
	if diff := cmp.Diff(want, drilled(s.v, s.now)); diff != "" {
		t.Errorf("without a schedule (-want +got):\n%s", diff)
	}
	if got := status.Drilled(nil, nil, status.Drills{}, s.now); got != nil {
		t.Errorf("a pair without drills has %+v", got)
	}
}
