package failover_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	m0, m1 = pair.MemberName("shop-0"), pair.MemberName("shop-1")
	p0, p1 = pair.PodUID("pod-0"), pair.PodUID("pod-1")
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func settings() failover.Settings {
	return failover.Settings{
		Namespace:         "ns",
		Name:              "shop",
		UID:               "pair-1",
		Lossless:          true,
		ContinueAlone:     true,
		PassiveTimeout:    5 * time.Second,
		LeaseDuration:     6 * time.Second,
		SafetyMargin:      time.Second,
		AutomaticFailover: true,
		WarnAfter:         3 * time.Second,
		DeadAfter:         5 * time.Second,
		InitialDelay:      time.Minute,
		ApplyTimeout:      30 * time.Second,
		MaxPerHour:        3,
		AsyncMaxLag:       10 * time.Second,
		PassiveMaxLag:     10 * time.Second,
		AgentVersion:      "v1",
	}
}

func member(name pair.MemberName, uid pair.PodUID, phase agentapi.Phase) failover.Member {
	return failover.Member{
		Name:        name,
		Reach:       failover.Answered,
		HeardAt:     t0.Add(-time.Second),
		SilentSince: t0.Add(-time.Second),
		MadeForPair: failover.Yes,
		Pod: failover.Pod{
			Reading:   failover.Read,
			UID:       uid,
			IP:        "10.0.0.1",
			Node:      "node-" + string(uid),
			CreatedAt: t0.Add(-time.Hour),
			Labels:    map[string]string{pair.LabelRole: pair.RolePassive},
			Ended:     fencing.PodFacts{UID: uid},
		},
		State: &agentapi.State{
			PairUID:      "pair-1",
			Member:       name,
			PodUID:       uid,
			Phase:        phase,
			AgentVersion: "v1",
		},
	}
}

// serverOf is the UUID of the member's server.
func serverOf(m pair.MemberName) string {
	return "00000000-0000-0000-0000-00000000000" + string(m[len(m)-1:])
}

// running gives the member a closed mysqld with the data it is known by.
func running(m *failover.Member, epoch pair.Epoch, ledger pair.LedgerVersion) {
	m.State.DataID = pair.DataID("data-" + string(m.Name))
	m.State.KnownEpoch = epoch
	m.State.ActedLedger = ledger
	m.State.Mysqld = agentapi.Mysqld{Running: true, Incarnation: pair.Incarnation("inc-" + string(m.Name))}
	m.State.Server = &agentapi.Server{
		ServerUUID:    serverOf(m.Name),
		SuperReadOnly: true,
		ReadOnly:      true,
		OfflineMode:   true,
		Applier:       agentapi.ChannelThread{Running: true},
	}
}

// steady is a pair in its best state: shop-0 open at epoch 3, shop-1 in sync.
func steady() failover.Observation {
	a := member(m0, p0, agentapi.PhaseOpen)
	b := member(m1, p1, agentapi.PhaseClosed)
	running(&a, 3, 7)
	running(&b, 3, 7)
	a.State.OpenEpoch = 3
	*a.State.Server = agentapi.Server{ServerUUID: serverOf(m0), Waiting: true, SemiSyncClients: 1}
	b.State.Server.Receiver.Running = true
	b.State.Server.ReplicaSemiSync = true
	a.Pod.Fenced = true
	a.Pod.Labels = map[string]string{pair.LabelRole: pair.RolePrimary, pair.EpochLabel(3): "open"}
	b.Pod.Labels[pair.LabelReadable] = "true"
	book := fencing.NewBook()
	book.SawEpoch(3, t0.Add(-time.Hour))
	return failover.Observation{
		Now:      t0,
		Settings: settings(),
		Members:  [2]failover.Member{a, b},
		Evidence: book,
		FreshID:  "fresh",
		Authority: failover.Authority{
			Reading: failover.Read,
			Version: "10",
			AskedAt: t0,
			Record: authority.Record{
				PairUID:       "pair-1",
				Epoch:         3,
				Holder:        pair.Holder{Member: m0, PodUID: p0},
				LeaseDuration: 6 * time.Second,
				Appointed:     &authority.Appointed{Holder: pair.Holder{Member: m0, PodUID: p0}, Epoch: 3},
				Ledger:        authority.Ledger{Version: 7, State: authority.Both, Incarnations: map[pair.MemberName]pair.Incarnation{m0: "inc-shop-0", m1: "inc-shop-1"}},
				Data:          map[pair.MemberName]pair.DataID{m0: "data-shop-0", m1: "data-shop-1"},
			},
		},
		Service: failover.Service{
			Reading:   failover.Read,
			Version:   "5",
			Epoch:     3,
			Leads:     failover.LeadsOpen,
			PortLeads: failover.LeadsOpen,
			Member:    m0,
		},
		History: failover.History{
			Epoch:        3,
			StartedAt:    t0.Add(-time.Hour),
			HolderSince:  t0.Add(-time.Hour),
			HolderOpened: true,
		},
	}
}

// solo is the same with shop-0 alone in the ledger.
func solo() failover.Observation {
	o := steady()
	o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
	o.Members[0].State.Server.Waiting = false
	return o
}

// between is after the revocation at epoch 4: shop-0 was the holder, and its deletion is
// accepted.
func between() failover.Observation {
	o := steady()
	rec := &o.Authority.Record
	rec.LastHolder = &authority.LastHolder{Holder: rec.Holder, DataID: "data-shop-0", Epoch: 3}
	rec.Holder = pair.Holder{}
	rec.Appointed = nil
	rec.Epoch = 4
	rec.Intent = &authority.Intent{Operation: "shop-failover-4", Target: m1, Rule: "HolderExited"}
	o.Evidence.SawEpoch(4, t0.Add(-time.Second))
	o.History.HolderSince = time.Time{}
	return o
}

func newPair() failover.Observation {
	o := steady()
	o.Members = [2]failover.Member{member(m0, p0, agentapi.PhaseEmpty), member(m1, p1, agentapi.PhaseEmpty)}
	o.Evidence = fencing.NewBook()
	o.Authority = failover.Authority{Reading: failover.Missing, AskedAt: t0}
	o.Service = failover.Service{Reading: failover.Read, Epoch: -1}
	o.History = failover.History{StartedAt: t0}
	return o
}

func fresh() failover.Observation {
	o := newPair()
	o.Authority = failover.Authority{
		Reading: failover.Read,
		Version: "1",
		AskedAt: t0,
		Record:  authority.Fresh("pair-1", 6*time.Second),
	}
	o.Evidence.SawEpoch(0, t0)
	o.Service = failover.Service{
		Reading:   failover.Read,
		Epoch:     -1,
		Leads:     failover.LeadsDoor,
		PortLeads: failover.LeadsDoor,
		Member:    m0,
	}
	return o
}

// prove puts a proof about a subject at the present epoch into the book.
func prove(t *testing.T, o failover.Observation, s fencing.Subject) {
	t.Helper()
	req, err := o.Evidence.Ask(s, o.Authority.Record.Epoch, "req", o.Now)
	if err != nil {
		t.Fatal(err)
	}
	reply := agentapi.FenceReply{
		RequestID: "req",
		Member:    s.Member,
		PodUID:    s.PodUID,
		Epoch:     o.Authority.Record.Epoch,
		Ceased:    true,
		Demoted:   true,
	}
	proof, err := fencing.FromReply(req, reply, o.Now)
	if err != nil {
		t.Fatal(err)
	}
	o.Evidence.Add(proof)
	if err := o.Evidence.Ceased(req, reply, o.Now); err != nil {
		t.Fatal(err)
	}
}

func stepNames(steps []failover.Step) []failover.StepName {
	var names []failover.StepName
	for _, s := range steps {
		if t, ok := s.(failover.Together); ok {
			names = append(names, stepNames(t.Steps)...)
			continue
		}
		if t, ok := s.(failover.InOrder); ok {
			names = append(names, stepNames(t.Steps)...)
			continue
		}
		names = append(names, s.Name())
		if c, ok := s.(failover.ChangeAuthority); ok {
			names[len(names)-1] = failover.StepName(c.Change.Name())
		}
	}
	return names
}
