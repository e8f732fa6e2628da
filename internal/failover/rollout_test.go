package failover_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// changed is a steady pair whose spec was changed some time ago: both pods are older.
func changed() failover.Observation {
	o := steady()
	o.Settings.AutomaticRollout = true
	o.Settings.Generation = 5
	o.History.Streamed = failover.Streamed{Member: m1, Incarnation: "inc-shop-1", Since: t0.Add(-time.Minute)}
	o.Members[0].Pod.Outdated = "spec.mysql.image"
	o.Members[1].Pod.Outdated = "spec.mysql.image"
	return o
}

// halfway is the same once the passive was made again and is in sync.
func halfway() failover.Observation {
	o := changed()
	o.Members[1].Pod.Outdated = ""
	return o
}

// switchedOverTo is the other half: the former primary follows, with its former pod.
func switchedOverTo() failover.Observation {
	o := changed()
	o.Members[0].Pod.Outdated = ""
	return o
}

// broken is a passive that does not come back, by the present spec or by a former one.
func broken(outdated string, change func(o *failover.Observation, m *failover.Member)) func() failover.Observation {
	return func() failover.Observation {
		o := changed()
		o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
		o.Members[0].State.Server.Waiting = false
		o.Members[0].Pod.Outdated = "spec.mysql.image"
		if outdated != "" {
			o.Members[0].Pod.Outdated = ""
		}
		m := &o.Members[1]
		m.Pod.Outdated = outdated
		delete(m.Pod.Labels, pair.LabelReadable)
		change(&o, m)
		return o
	}
}

func notPulled(_ *failover.Observation, m *failover.Member) {
	m.Reach = failover.NoPodIP
	m.State = nil
	m.Pod.IP = ""
	m.Pod.Problem = "ImagePullBackOff: container mysqld: manifest unknown"
}

func crashes(_ *failover.Observation, m *failover.Member) {
	m.Reach = failover.Refused
	m.State = nil
	m.Pod.Problem = "CrashLoopBackOff: container mysqld"
}

func refusesSetting(_ *failover.Observation, m *failover.Member) {
	m.State.Phase = agentapi.PhaseFailed
	m.State.Mysqld.Running = false
	m.State.Server = nil
	m.State.Problems = []agentapi.Problem{{Code: agentapi.ProblemMysqldExits, Message: "mysqld: unknown variable 'nonsense=1'"}}
}

// applierStops: the passive acknowledges what it receives, and cannot apply it.
func applierStops(o *failover.Observation, m *failover.Member) {
	o.Authority.Record.Ledger = steady().Authority.Record.Ledger
	o.Members[0].State.Server.Waiting = true
	m.State.Server.Applier = agentapi.ChannelThread{LastErrno: 1153, LastError: "Got a packet bigger than 'max_allowed_packet' bytes"}
}

func TestRolloutTakesThePassiveFirst(t *testing.T) {
	check(t, map[string]decision{
		"the passive's pod is made again, and the primary goes on alone before that": {
			from:  changed,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("EnterSolo", "ReadLease", "DeletePod"),
		},
		"a primary that was restarted is compared before it goes on alone": {
			from:  changed,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("BeginJoining"),
			with: func(t *testing.T, o *failover.Observation) {
				o.Members[0].State.Mysqld.Incarnation = "another"
				prove(t, *o, fencing.Subject{Member: m1, PodUID: p1})
			},
		},
		"in Async nothing waits for the passive": {
			from:  changed,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.Lossless = false
				o.Authority.Record.Ledger = authority.Ledger{Version: 7, State: authority.Solo, First: m0}
			},
		},
		"with the passive made again the primary is switched over": {
			from:  halfway,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
		},
		"the former primary's pod is the passive's": {
			from:  switchedOverTo,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("EnterSolo", "ReadLease", "DeletePod"),
		},
		"a restart that is asked for is the same, also with OnDelete": {
			from:  steady,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("EnterSolo", "ReadLease", "DeletePod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.Streamed = changed().History.Streamed
				o.Members[0].Pod.RestartAsked = true
				o.Members[1].Pod.RestartAsked = true
			},
		},
		"one of the primary alone begins with the switchover": {
			from:  steady,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.History.Streamed = changed().History.Streamed
				o.Members[0].Pod.RestartAsked = true
			},
		},
		"one of a passive that does not come back is not waited for": {
			from:  broken("", crashes),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: steps("DeletePod"),
			with:  func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.RestartAsked = true },
		},
		"an agent of a former version waits for the next restart": {
			from: changed,
			rule: "RestartPending",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].Pod.Outdated = failover.OutdatedAgent
				o.Members[1].Pod.Outdated = failover.OutdatedAgent
			},
		},
		"or is rolled out at once, the passive first": {
			from:  changed,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("EnterSolo", "ReadLease", "DeletePod"),
			with:  agentsAreFormer(true, true),
		},
		"then the primary is switched over for its agent": {
			from:  halfway,
			rule:  "Rollout",
			kind:  failover.Acts,
			steps: steps("NoteOperation"),
			with:  agentsAreFormer(true, false),
		},
		"with OnDelete an agent of a former version waits as well": {
			from: changed,
			rule: "RestartPending",
			kind: failover.Holds,
			with: func(t *testing.T, o *failover.Observation) {
				agentsAreFormer(true, true)(t, o)
				o.Settings.AutomaticRollout = false
			},
		},
		"with OnDelete a person deletes the pods": {
			from: changed,
			rule: "RestartPending",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.AutomaticRollout = false },
		},
		"not while paused": {
			from: changed,
			rule: "Paused",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.Paused = true },
		},
	})
}

// Nothing is taken away while the pair could not fail over without loss, or is busy.
func TestRolloutWaitsForASettledPair(t *testing.T) {
	for name, c := range map[string]struct {
		from func() failover.Observation
		with func(o *failover.Observation)
		says string
	}{
		"the passive has just come back": {halfway, func(o *failover.Observation) { o.History.Streamed.Since = t0.Add(-time.Second) }, "follow for 10s"},
		"in another run of its mysqld":   {halfway, func(o *failover.Observation) { o.History.Streamed.Incarnation = "former" }, "follow for 10s"},
		"this process has not seen it":   {changed, func(o *failover.Observation) { o.History.Streamed = failover.Streamed{} }, "follow for 10s"},
		"the passive lags":               {changed, func(o *failover.Observation) { o.Members[1].State.Server.LagSeconds = 3 }, "lags"},
		"the passive is in another run": {halfway, func(o *failover.Observation) {
			o.Authority.Record.Ledger.Incarnations[m1] = "former"
			o.Members[1].State.Server.ReplicaSemiSync = false
		}, "restarted"},
		"an operation is unfinished": {changed, func(o *failover.Observation) {
			o.Operations = []failover.Operation{{Name: "shop-failover-3", Verb: failover.VerbFailover, Running: true, ByOperator: true, Epoch: 3}}
		}, "shop-failover-3"},
		"a comparison runs":         {changed, func(o *failover.Observation) { o.Jobs = []string{"nightly"} }, "nightly"},
		"another pair has its turn": {changed, func(o *failover.Observation) { o.RolloutHeld = "ns/other is rolled out" }, "ns/other"},
		"writes would wait":         {changed, func(o *failover.Observation) { o.Settings.ContinueAlone = false }, "onPassiveLoss is Block"},
		"the claim of the passive goes": {changed, func(o *failover.Observation) {
			o.Members[1].ClaimDeleting = true
		}, "claim"},
		"a switchover was given up lately": {halfway, func(o *failover.Observation) {
			o.Kept.Rollouts = []failover.EndedRollout{{Name: "shop-rollout-4", At: t0.Add(-time.Minute), Message: "its deadline has passed"}}
		}, "03:08:05"},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.from()
			c.with(&o)
			p := failover.Decide(o)
			for _, s := range stepNames(p.Steps) {
				if s == "DeletePod" || s == "NoteOperation" || s == "EnterSolo" {
					t.Errorf("rule %s has the step %s", p.Rule, s)
				}
			}
			found := p.Rule == failover.RuleRollout && strings.Contains(p.Fact, c.says)
			for _, n := range p.Notes {
				found = found || (n.Rule == failover.RuleRollout && strings.Contains(n.Fact, c.says))
			}
			if !found && len(p.Steps) == 0 {
				t.Errorf("%s: %s, notes %+v; want a Rollout that says %q", p.Rule, p.Fact, p.Notes, c.says)
			}
		})
	}
}

func TestRolloutStopsAtABrokenPassive(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*failover.Observation, *failover.Member)
		says   string
	}{
		"an image that cannot be pulled": {notPulled, "manifest unknown"},
		"a container that crashes":       {crashes, "CrashLoopBackOff"},
		"a setting that mysqld refuses":  {refusesSetting, "unknown variable 'nonsense=1'"},
		"an applier that stops":          {applierStops, "max_allowed_packet"},
		"a pod that is refused": {func(_ *failover.Observation, m *failover.Member) {
			*m = failover.Member{Name: m1, Pod: failover.Pod{Reading: failover.Missing, Problem: "FailedCreate: exceeded quota"}}
		}, "exceeded quota"},
	} {
		t.Run(name, func(t *testing.T) {
			p := failover.Decide(broken("", c.change)())
			if p.Rule != failover.RuleRolloutStopped || !strings.Contains(p.Fact, c.says) || !strings.Contains(p.Fact, "generation 5") || len(p.Steps) > 0 {
				t.Errorf("%s (%s): %s", p.Rule, p.Kind, p.Fact)
			}
			if p.Evictable {
				t.Error("the primary's pod may be evicted")
			}
		})
	}
}

func TestABrokenPassiveOfAFormerSpecIsReplacedAtOnce(t *testing.T) {
	gone := steps("DeletePod")
	check(t, map[string]decision{
		"whose image cannot be pulled": {
			from:  broken("spec.mysql.image", notPulled),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: gone,
		},
		"that crashes": {
			from:  broken("spec.mysql.image", crashes),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: gone,
		},
		"that refuses a setting": {
			from:  broken("spec.mysql.config", refusesSetting),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: gone,
		},
		"while the ledger still has it": {
			from:  broken("spec.mysql.config", refusesSetting),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: steps("EnterSolo", "ReadLease", "DeletePod"),
			with: func(_ *testing.T, o *failover.Observation) {
				o.Authority.Record.Ledger = steady().Authority.Record.Ledger
				o.Members[0].State.Server.Waiting = true
			},
		},
		"also when commits wait for it": {
			from:  broken("spec.mysql.config", refusesSetting),
			rule:  "ReplaceBrokenPod",
			kind:  failover.Acts,
			steps: gone,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Settings.ContinueAlone = false
				o.Authority.Record.Ledger = steady().Authority.Record.Ledger
				o.Members[0].State.Server.Waiting = true
			},
		},
		"not while the primary is closed": {
			from: broken("spec.mysql.image", crashes),
			rule: "AwaitOpening",
			kind: failover.Waits,
			with: func(_ *testing.T, o *failover.Observation) {
				o.Members[0].State.Phase = agentapi.PhaseRecovering
				o.Members[0].State.OpenEpoch = 0
			},
		},
		"not twice": {
			from: broken("spec.mysql.image", crashes),
			rule: "PassiveAway",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Members[1].Pod.Deleting = true },
		},
		"not by OnDelete": {
			from: broken("spec.mysql.image", crashes),
			rule: "PassiveAway",
			kind: failover.Holds,
			with: func(_ *testing.T, o *failover.Observation) { o.Settings.AutomaticRollout = false },
		},
	})
}

// The switchover of a rollout has the same name for as long as it is not seen, and another one
// after it was given up.
func TestTheSwitchoverOfARolloutIsAskedForOnce(t *testing.T) {
	note := func(o failover.Observation) failover.OperationNote {
		t.Helper()
		p := failover.Decide(o)
		step, ok := p.Steps[0].(failover.NoteOperation)
		if !ok {
			t.Fatalf("%s: %+v", p.Rule, p.Steps)
		}
		return step.Note
	}
	o := halfway()
	first := note(o)
	if first.Name != "shop-rollout-4" || first.Verb != failover.VerbSwitchover || first.To != m1 || first.Phase != pair.OperationPending {
		t.Errorf("%+v", first)
	}
	o.Kept.Begun = []string{"shop-failover-4", "shop-rollout-4"}
	if again := note(o); again.Name != "shop-rollout-4-2" {
		t.Errorf("the next one is %s", again.Name)
	}
	o.Kept.Begun = []string{"shop-rollout-4-2", "shop-rollout-42"}
	if again := note(o); again.Name != "shop-rollout-4-3" {
		t.Errorf("the next one is %s", again.Name)
	}
}

// The operation of a rollout is an ordinary switchover whose trigger is the rollout.
func TestTheSwitchoverOfARolloutIsOnRecordAsOne(t *testing.T) {
	o := switchoverAsked()
	o.Operations[0].ByOperator = true
	o.Operations[0].Target = m1
	p := failover.Decide(o)
	step, ok := p.Steps[0].(failover.NoteOperation)
	if !ok || step.Note.Rule != failover.RuleRollout || step.Note.Phase != pair.OperationRunning {
		t.Errorf("%s: %+v", p.Rule, p.Steps)
	}
}

func TestHistoryKnowsSinceWhenThePassiveStreams(t *testing.T) {
	o := steady()
	h := failover.History{}.Next(o)
	if h.Streamed.Since != t0 || h.Streamed.Member != m1 {
		t.Fatalf("%+v", h.Streamed)
	}
	o.Now = t0.Add(time.Minute)
	if h = h.Next(o); h.Streamed.Since != t0 {
		t.Errorf("it streams on: %+v", h.Streamed)
	}
	o.Members[1].State.Mysqld.Incarnation = "next"
	if h = h.Next(o); h.Streamed.Since != o.Now {
		t.Errorf("in another run: %+v", h.Streamed)
	}
	o.Members[1].State.Server.Receiver.Running = false
	if h = h.Next(o); !h.Streamed.Since.IsZero() {
		t.Errorf("it does not stream: %+v", h.Streamed)
	}
}

// agentsAreFormer: pods that differ from the template by their agent alone, with
// spec.agent.update: Automatic.
func agentsAreFormer(members ...bool) func(*testing.T, *failover.Observation) {
	return func(_ *testing.T, o *failover.Observation) {
		o.Settings.AutomaticAgentUpdate = true
		for i, former := range members {
			o.Members[i].Pod.Outdated = ""
			if former {
				o.Members[i].Pod.Outdated = failover.OutdatedAgent
			}
		}
	}
}

func TestWhatIsSaidOfAFormerAgent(t *testing.T) {
	s := settings()
	if got := s.AgentRenewal(); !strings.Contains(got, "kubectl dbpair upgrade-agent shop -n ns") {
		t.Errorf("no command: %s", got)
	}
	s.AutomaticRollout = true
	s.AutomaticAgentUpdate = true
	if got := s.AgentRenewal(); !strings.Contains(got, "rollout") || strings.Contains(got, "kubectl") {
		t.Errorf("of one that is renewed by itself: %s", got)
	}
	o := changed()
	agentsAreFormer(true, false)(t, &o)
	if got := o.RolloutProgress(); !strings.Contains(got, "agent of shop-0") || !o.NeedsRollout() || !o.RolloutUnderWay() {
		t.Errorf("progress: %s", got)
	}
}
