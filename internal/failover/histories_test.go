package failover_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

// histories are what docs/failover.md quotes.
var histories = map[string]func(t *testing.T) *play{
	"failover": func(t *testing.T) *play {
		p := begin(t, steady())
		p.event("mysqld of the primary is killed", exited)
		p.event("shop-1 opens", opens(1))
		return p
	},
	"planned-end": func(t *testing.T) *play {
		p := begin(t, steady())
		p.event("the pod of the primary is deleted", func(o *failover.Observation) { o.Members[0].Pod.Deleting = true })
		p.event("its agent has closed mysqld", func(o *failover.Observation) {
			exited(o)
			o.Members[0].State.UncleanAt = 0
		})
		p.event("shop-1 opens", opens(1))
		return p
	},
	"switchover": func(t *testing.T) *play {
		p := begin(t, switchoverAsked())
		p.event("a switchover is asked for", func(*failover.Observation) {})
		p.event("no transaction is in flight any more", func(o *failover.Observation) { o.Members[0].State.Drain.InFlight = 0 })
		p.event("shop-0 is closed", func(o *failover.Observation) {
			closed(o)
			o.Members[0].State.Server.BinlogGTIDs = gtids
		})
		p.event("shop-1 opens", opens(1))
		p.event("shop-0 follows", func(o *failover.Observation) {
			o.Members[0].State.Server.Receiver.Running = true
			o.Members[0].State.Server.ReplicaSemiSync = true
		})
		return p
	},
	"switchover-given-up": func(t *testing.T) *play {
		p := begin(t, switchoverAsked())
		p.o.Operations[0].Switchover.GiveUp = true
		p.event("a switchover is asked for that gives up rather than cut a transaction", func(*failover.Observation) {})
		p.event("a transaction is in flight after drainTimeout", func(o *failover.Observation) { o.Now = o.Now.Add(10 * time.Second) })
		return p
	},
	"solo-and-back": func(t *testing.T) *play {
		p := begin(t, steady())
		p.event("the passive is cut off, and a commit waits for passiveTimeout", func(o *failover.Observation) {
			o.Members[1].Reach = failover.TimedOut
			o.Members[0].State.Server.OldestWait = 6 * time.Second
		})
		p.event("the primary has read the ledger and goes on alone", func(o *failover.Observation) {
			o.Members[0].State.Server.OldestWait, o.Members[0].State.Server.Waiting = 0, false
			o.Members[0].State.ActedLedger = o.Authority.Record.Ledger.Version
		})
		p.event("the passive is back and streams", returns(1))
		return p
	},
	"in-doubt-and-adopt": func(t *testing.T) *play {
		p := begin(t, solo())
		p.o.History = p.o.History.Next(p.o)
		p.event("the ledger is edited by hand: both, at the same version", func(o *failover.Observation) {
			o.Authority.Record.Ledger = steady().Authority.Record.Ledger
		})
		p.event("an operation adopts shop-0", func(o *failover.Observation) {
			o.Operations = []failover.Operation{op(failover.VerbAdopt, m0, o.Authority.Record.Epoch)}
		})
		p.event("shop-0 opens", opens(0))
		return p
	},
	"cold-start": func(t *testing.T) *play {
		p := begin(t, steady())
		p.event("both pods are made again; the passive answers first", func(o *failover.Observation) {
			o.Members[0].Pod.UID, o.Members[0].Reach, o.Members[0].State = "pod-0b", failover.NoPodIP, nil
			o.Members[0].Pod.IP, o.Members[0].Pod.Fenced = "", false
			o.Members[1].Pod.UID = "pod-1b"
			returns(1)(o)
			o.Members[1].State.Server.Receiver.Running = false
		})
		p.event("the new pod of shop-0 answers", func(o *failover.Observation) {
			returns(0)(o)
			o.Members[0].State.Server.Receiver.Running = false
		})
		p.event("the authority of the former pod has run out", func(o *failover.Observation) { o.Now = o.Now.Add(8 * time.Second) })
		p.event("shop-0 opens", opens(0))
		return p
	},
	"both-killed": func(t *testing.T) *play {
		p := begin(t, steady())
		p.event("both mysqlds are killed", func(o *failover.Observation) {
			exited(o)
			o.Members[1].State.Phase, o.Members[1].State.Mysqld = agentapi.PhaseRecovering, agentapi.Mysqld{Running: true, Incarnation: "next"}
		})
		p.event("shop-0 recovers, closed, with commits that its passive may lack", func(o *failover.Observation) {
			closed(o)
			o.Members[0].State.Mysqld = agentapi.Mysqld{Running: true, Incarnation: "next"}
		})
		p.event("shop-1 streams again and has them; shop-0 opens", func(o *failover.Observation) {
			returns(1)(o)
			opens(0)(o)
		})
		return p
	},
	"rewind": func(t *testing.T) *play {
		p := begin(t, solo())
		p.event("the former primary comes back after an unclean end", func(o *failover.Observation) {
			o.Authority.Record.Left = &authority.Left{
				Member: m1,
				DataID: "data-shop-1",
				Epoch:  2,
				Clean:  true,
			}
			o.Members[1].State.Phase, o.Members[1].State.UncleanAt = agentapi.PhaseHeld, 2
			o.Members[1].State.Mysqld, o.Members[1].State.Server = agentapi.Mysqld{}, nil
		})
		p.event("its tail is cut, and it streams", returns(1))
		return p
	},
	"lost-node-of-a-solo-primary": func(t *testing.T) *play {
		p := begin(t, solo())
		p.event("the node of the primary does not answer for longer than initialDelay", func(o *failover.Observation) {
			silent(o, 2*time.Minute, 2*time.Minute)
		})
		p.event("an operation confirms that shop-0 cannot run any more", func(o *failover.Observation) {
			o.Operations = []failover.Operation{op(failover.VerbConfirmDead, m0, 3)}
		})
		return p
	},
	"bootstrap": func(t *testing.T) *play {
		p := begin(t, newPair())
		p.event("a pair is made; both volumes are empty", func(*failover.Observation) {})
		p.event("shop-0 has initialized its volume", func(o *failover.Observation) {
			id := o.Members[0].State.DataID
			running(&o.Members[0], 0, 0)
			o.Members[0].State.DataID, o.Members[0].State.Phase = id, agentapi.PhaseClosed
		})
		p.event("shop-0 opens", opens(0))
		return p
	},
	"force-promote": func(t *testing.T) *play {
		p := begin(t, solo())
		p.event("the primary is lost for good", func(o *failover.Observation) { silent(o, 2*time.Minute, 2*time.Minute) })
		p.event("an operation forces the promotion of shop-1", func(o *failover.Observation) {
			o.Operations = []failover.Operation{op(failover.VerbForcePromote, m1, 3)}
		})
		p.event("the authority of shop-0 has run out", func(o *failover.Observation) { o.Now = o.Now.Add(8 * time.Second) })
		p.event("shop-1 opens", opens(1))
		return p
	},
}

// TestHistories compares what Decide makes of twelve courses of events with what is written
// down; docs/failover.md points to these files.
func TestHistories(t *testing.T) {
	for name, tell := range histories {
		t.Run(name, func(t *testing.T) {
			golden(t, "testdata/transcripts/"+name+".txt", tell(t).out.String())
		})
	}
}
