package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

func byBackup(b failover.ServedBackup) func(*failover.Operation) {
	return func(o *failover.Operation) { o.Backup = &b }
}

var (
	servedBackup  = failover.ServedBackup{Served: true}
	startingVault = failover.ServedBackup{Fact: "pod shop-vault-1 does not serve the backup yet"}
	failedVault   = failover.ServedBackup{Failed: true, Fact: "StoreDenied: the store refuses the credentials"}
)

// The data of the passive is given up once the backup is served, and not before.
func TestAReseedFromABackup(t *testing.T) {
	type obs = failover.Observation
	copied := copyOf(t)
	substitute := copied + "-p"
	given := func(data pair.DataID) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			delete(o.Authority.Record.Data, m1)
			o.Authority.Record.Seeding = &authority.Seeding{Member: m1, DataID: data}
		}
	}
	void := func(_ *testing.T, o *obs) {
		s := o.Members[1].State
		s.Phase, s.DataID, s.Server = agentapi.PhaseVoid, "", nil
		s.Mysqld = agentapi.Mysqld{}
	}
	failedCopy := func(_ *testing.T, o *obs) {
		o.Members[1].State.Problems = []agentapi.Problem{{Code: agentapi.ProblemSeedFailed, Message: "seed from shop-0: an object is damaged"}}
	}
	named := func(data pair.DataID) func(*testing.T, *obs) {
		return func(_ *testing.T, o *obs) {
			o.Authority.Record.Data[m1], o.Members[1].State.DataID = data, data
		}
	}
	check(t, map[string]decision{
		"it waits until the backup is served": {
			from:  steady,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  reseed(byBackup(startingVault)),
		},
		"and the pair is as it was": {
			from: steady,
			rule: "InSync",
			kind: failover.Settled,
			with: reseed(byBackup(startingVault), func(o *failover.Operation) { o.Message = "waits for its backup: " + startingVault.Fact }),
		},
		"the primary goes on alone then": {
			from:  steady,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("EnterSolo"),
			with:  reseed(byBackup(servedBackup)),
		},
		"and the data is given up": {
			from:  solo,
			rule:  "ReseedRequested",
			kind:  failover.Acts,
			steps: steps("GiveUpData"),
			with:  reseed(started, byBackup(servedBackup)),
		},
		"not while it is not served any more": {
			from: solo,
			rule: "ReseedRequested",
			kind: failover.Holds,
			with: reseed(started, byBackup(startingVault)),
		},
		"the passive is asked to copy it": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with:  then(given(copied), reseed(started, byBackup(servedBackup))),
		},
		"also after its agent died in the copy": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with:  then(given(copied), void, reseed(started, byBackup(servedBackup))),
		},
		"once it is served": {
			from: solo,
			rule: "SeedPassive",
			kind: failover.Waits,
			with: then(given(copied), reseed(started, byBackup(startingVault)), func(_ *testing.T, o *obs) {
				delete(o.Members[1].Pod.Labels, pair.LabelReadable)
			}),
		},
		"a copy that failed is made of the primary": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(given(copied), void, failedCopy, reseed(started, byBackup(servedBackup))),
		},
		"so is one of a backup that is not served any more": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("ForgetData"),
			with:  then(given(copied), reseed(started, byBackup(failedVault))),
		},
		"it is asked for, and for no backup": {
			from:  solo,
			rule:  "SeedPassive",
			kind:  failover.Acts,
			steps: steps("Seed"),
			with:  then(given(substitute), void, failedCopy, reseed(started, byBackup(failedVault))),
		},
		"and ends the operation when it is in sync": {
			from:  steady,
			rule:  "OperationFinished",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  then(named(substitute), reseed(started, byBackup(failedVault))),
		},
	})
}

// The step says what is to be copied.
func TestAReseedFromABackupAsksForIt(t *testing.T) {
	for data, want := range map[pair.DataID]bool{copyOf(t): true, copyOf(t) + "-p": false} {
		o := solo()
		delete(o.Authority.Record.Data, m1)
		o.Authority.Record.Seeding = &authority.Seeding{Member: m1, DataID: data}
		reseed(started, byBackup(servedBackup))(t, &o)
		seed, ok := failover.Decide(o).Steps[0].(failover.Seed)
		if !ok || seed.OfABackup != want || seed.DataID != data {
			t.Errorf("%s: %+v", data, seed)
		}
	}
}

// What is not served ends an operation that has given nothing up, with the reason; one that has goes on,
// and its record says what was copied.
func TestAReseedFromABackupSaysHowItEnded(t *testing.T) {
	data := func(id pair.DataID) func(*testing.T, *failover.Observation) {
		return func(_ *testing.T, o *failover.Observation) {
			o.Authority.Record.Data[m1], o.Members[1].State.DataID = id, id
		}
	}
	message := func(text string) func(*failover.Operation) { return func(o *failover.Operation) { o.Message = text } }
	late := func(_ *testing.T, o *failover.Observation) { o.Operations[0].CreatedAt = o.Now.Add(-11 * time.Minute) }
	for name, c := range map[string]struct {
		from  func() failover.Observation
		with  func(*testing.T, *failover.Observation)
		phase pair.OperationPhase
		says  string
	}{
		"the store refuses": {
			from:  steady,
			with:  reseed(byBackup(failedVault)),
			phase: pair.OperationFailed,
			says:  "the backup cannot be copied: StoreDenied: the store refuses the credentials",
		},
		"no node takes the pod": {
			from:  steady,
			with:  then(reseed(byBackup(startingVault)), late),
			phase: pair.OperationFailed,
			says:  "no backup was served within 10m0s: pod shop-vault-1 does not serve",
		},
		"the agent is of another version, and may copy the primary without a word": {
			from: steady,
			with: then(reseed(byBackup(servedBackup)), func(_ *testing.T, o *failover.Observation) {
				o.Members[1].State.AgentVersion = "v0"
			}),
			phase: pair.OperationFailed,
			says:  "the agent of shop-1 is v0, the operator's is v1",
		},
		"the store refuses when the primary is alone already": {
			from:  solo,
			with:  reseed(started, byBackup(failedVault)),
			phase: pair.OperationFailed,
			says:  "the data of shop-1 is as it was",
		},
		"the backup was copied": {
			from:  steady,
			with:  then(data(copyOf(t)), reseed(started, byBackup(servedBackup))),
			phase: pair.OperationSucceeded,
			says:  "shop-1 was copied from a backup, has caught up with shop-0 and is in sync",
		},
		"the primary was copied in its place": {
			from: steady,
			with: then(data(copyOf(t)+"-p"), reseed(started, byBackup(failedVault),
				message("the backup could not be used (an object is damaged): shop-1 is copied from shop-0"))),
			phase: pair.OperationSucceeded,
			says:  "shop-1 is in sync; the backup could not be used (an object is damaged): shop-1 is copied from shop-0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.from()
			o.Settings.CreatedAt = t0.Add(-time.Hour)
			c.with(t, &o)
			for range 4 {
				p := failover.Decide(o)
				for _, s := range p.Steps {
					n, ok := s.(failover.NoteOperation)
					if ok && n.Note.Phase == c.phase && strings.Contains(n.Note.Message, c.says) {
						return
					}
				}
				o.History = o.History.After(o, p, failover.Outcome{})
			}
			t.Errorf("it goes on: %+v", failover.Decide(o))
		})
	}
}
