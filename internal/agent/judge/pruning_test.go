package judge

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// inOrder is the passive shop-1 of a pair in which both members have all data.
func inOrder() Pruning {
	return Pruning{
		Lossless: true,
		Peer:     "shop-0",
		Record: authority.Record{
			PairUID: "pair-1",
			Epoch:   5,
			Holder:  pair.Holder{Member: "shop-0", PodUID: "uid-0"},
			Ledger:  authority.Ledger{State: authority.Both, Version: 9},
			Data:    map[pair.MemberName]pair.DataID{"shop-0": "d0", "shop-1": "d1"},
		},
		Mine: agentapi.State{
			PairUID:      "pair-1",
			Member:       "shop-1",
			KnownEpoch:   5,
			DataID:       "d1",
			Phase:        agentapi.PhaseClosed,
			LeaseReadAge: 10 * time.Second,
			Compared:     &agentapi.Comparison{},
			Server: &agentapi.Server{
				Receiver: agentapi.ChannelThread{Running: true},
				Applier:  agentapi.ChannelThread{Running: true},
			},
		},
		Theirs: &agentapi.State{
			PairUID:    "pair-1",
			Member:     "shop-0",
			KnownEpoch: 5,
			DataID:     "d0",
			Phase:      agentapi.PhaseOpen,
			Server:     &agentapi.Server{},
		},
		TheirAge: time.Second,
	}
}

// onThePrimary is the same seen from shop-0.
func onThePrimary() Pruning {
	p := inOrder()
	passive := p.Mine
	p.Mine = *p.Theirs
	p.Mine.LeaseReadAge = time.Second
	p.Theirs = &passive
	p.Peer = "shop-1"
	return p
}

func TestNothingIsPrunedWhileThereIsADoubt(t *testing.T) {
	doubts := map[string]func(*Pruning){
		"the Lease was never read":          func(p *Pruning) { p.Mine.LeaseReadAge = -1 },
		"the Lease was read long ago":       func(p *Pruning) { p.Mine.LeaseReadAge = 2 * time.Minute },
		"the Lease is of another pair":      func(p *Pruning) { p.Record.PairUID = "other" },
		"a higher epoch is known":           func(p *Pruning) { p.Mine.KnownEpoch = 6 },
		"no member is the primary":          func(p *Pruning) { p.Record.Holder = pair.Holder{} },
		"the Lease names other data":        func(p *Pruning) { p.Record.Data["shop-1"] = "other" },
		"there is no data":                  func(p *Pruning) { p.Mine.DataID = "" },
		"the peer's data is given up":       func(p *Pruning) { delete(p.Record.Data, "shop-0") },
		"a copy is under way":               func(p *Pruning) { p.Record.Seeding = &authority.Seeding{} },
		"the ledger is solo":                func(p *Pruning) { p.Record.Ledger.State = authority.Solo },
		"the ledger is joining":             func(p *Pruning) { p.Record.Ledger.State = authority.Joining },
		"the peer never answered":           func(p *Pruning) { p.Theirs = nil },
		"the peer answered long ago":        func(p *Pruning) { p.TheirAge = 2 * time.Minute },
		"the peer is of another pair":       func(p *Pruning) { p.Theirs.PairUID = "other" },
		"the primary is closed":             func(p *Pruning) { p.Theirs.Phase = agentapi.PhaseClosed },
		"this member recovers":              func(p *Pruning) { p.Mine.Phase = agentapi.PhaseRecovering },
		"a tail was not cut":                func(p *Pruning) { p.Mine.RewindRefused = "DDL" },
		"it lacks what it cannot get":       func(p *Pruning) { p.Mine.Lacks = &agentapi.Lack{} },
		"the peer lacks what it cannot":     func(p *Pruning) { p.Theirs.Lacks = &agentapi.Lack{} },
		"it has errant transactions":        func(p *Pruning) { p.Mine.Compared.Errant = serverA + ":1" },
		"the applier stopped":               func(p *Pruning) { p.Mine.Server.Applier.Running = false },
		"the applier stopped with an error": func(p *Pruning) { p.Mine.Server.Applier.LastErrno = 1062 },
		"it does not receive":               func(p *Pruning) { p.Mine.Server.Receiver.Running = false },
		"mysqld has not answered":           func(p *Pruning) { p.Mine.Server = nil },
		"a copy failed": func(p *Pruning) {
			p.Theirs.Problems = []agentapi.Problem{{Code: agentapi.ProblemSeedFailed, Message: "no room"}}
		},
		"the passive was found writable": func(p *Pruning) {
			p.Mine.Problems = []agentapi.Problem{{Code: agentapi.ProblemWritablePassive}}
		},
	}
	for name, change := range doubts {
		p := inOrder()
		change(&p)
		if p.Doubt() == "" {
			t.Errorf("%s: entries would be removed", name)
		}
	}
	for name, change := range map[string]func(*Pruning){
		"the passive does not receive":     func(p *Pruning) { p.Theirs.Server.Receiver.Running = false },
		"the passive has errant data":      func(p *Pruning) { p.Theirs.Compared.Errant = serverA + ":1" },
		"mysqld of the passive is unknown": func(p *Pruning) { p.Theirs.Server = nil },
		"the primary is not open yet":      func(p *Pruning) { p.Mine.Phase = agentapi.PhaseOpening },
	} {
		p := onThePrimary()
		change(&p)
		if p.Doubt() == "" {
			t.Errorf("on the primary, %s: entries would be removed", name)
		}
	}
}

func TestTheRetentionCountsWhileThePairIsInOrder(t *testing.T) {
	async := inOrder()
	async.Lossless = false
	async.Record.Ledger = authority.Ledger{State: authority.Solo, First: "shop-0", Version: 1}
	other := inOrder()
	other.Mine.Problems = []agentapi.Problem{{Code: agentapi.ProblemVolumeFull, Message: "full"}}
	for name, p := range map[string]Pruning{
		"on the passive":                        inOrder(),
		"on the primary":                        onThePrimary(),
		"in Async, where the ledger stays solo": async,
		"on a full volume":                      other,
	} {
		if doubt := p.Doubt(); doubt != "" {
			t.Errorf("%s: %s", name, doubt)
		}
	}
}
