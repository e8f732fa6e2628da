package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestThePacketRuleRefusesClientsWhereNobodyServesThem(t *testing.T) {
	const (
		mysql = 3306
		door  = 7306
	)
	type member struct {
		state  agentapi.State
		server agentapi.Server
		config agentapi.Config
	}
	phase := func(p agentapi.Phase) func(*member) { return func(m *member) { m.state.Phase = p } }
	offline := func(m *member) { m.server.OfflineMode = true }
	resets := func(m *member) { m.config.OnRoleChange = agentapi.OnRoleChangeReset }
	for name, tc := range map[string]struct {
		changes []func(*member)
		want    []uint16
	}{
		"it is open":                          {[]func(*member){phase(agentapi.PhaseOpen)}, nil},
		"it is open, and a door would reset":  {[]func(*member){phase(agentapi.PhaseOpen), resets}, nil},
		"it opens":                            {[]func(*member){phase(agentapi.PhaseOpening), offline}, []uint16{mysql}},
		"it closes":                           {[]func(*member){phase(agentapi.PhaseClosing)}, []uint16{mysql}},
		"it is closed and serves nobody":      {[]func(*member){offline}, []uint16{mysql}},
		"mysqld recovers":                     {[]func(*member){phase(agentapi.PhaseRecovering)}, []uint16{mysql}},
		"it is copied":                        {[]func(*member){phase(agentapi.PhaseSeeding)}, []uint16{mysql}},
		"it serves readers":                   {nil, nil},
		"it serves readers, the door resets":  {[]func(*member){resets}, []uint16{door}},
		"it serves nobody, the door resets":   {[]func(*member){offline, resets}, []uint16{mysql, door}},
		"the pair has no Service for readers": {[]func(*member){func(m *member) { m.config.WithoutReaders = true }}, []uint16{mysql}},
		"someone made it writable":            {[]func(*member){func(m *member) { m.server.SuperReadOnly = false }}, []uint16{mysql}},
		"mysqld hangs":                        {[]func(*member){func(m *member) { m.state.ServerAge = 6 * time.Second }}, []uint16{mysql}},
		"mysqld has not answered in this run": {[]func(*member){func(m *member) { m.state.Server = nil }}, []uint16{mysql}},
		"it is open, and mysqld does not answer": {[]func(*member){
			phase(agentapi.PhaseOpen),
			func(m *member) { m.state.ServerAge = time.Minute },
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := member{
				server: agentapi.Server{SuperReadOnly: true},
				config: agentapi.Config{
					OnRoleChange: agentapi.OnRoleChangeHold,
					DeadAfter:    5 * time.Second,
				},
			}
			m.state = agentapi.State{Phase: agentapi.PhaseClosed, Server: &m.server}
			for _, change := range tc.changes {
				change(&m)
			}
			p := &packetRule{mysql: mysql, door: door}
			if diff := cmp.Diff(tc.want, p.ports(m.state, m.config)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What an agent says of itself changes what is refused without that anyone waits for the next renewal.
func TestThePacketRuleLearnsOfAChangeAtOnce(t *testing.T) {
	state := newBoard(logr.Discard(), agentapi.State{}, func() agentapi.Config { return agentapi.Config{} })
	p := &packetRule{
		state:  state,
		config: func() agentapi.Config { return agentapi.Config{} },
		mysql:  3306,
	}
	ports, revision := p.Refused()
	if diff := cmp.Diff([]uint16{3306}, ports); diff != "" {
		t.Error(diff)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Wait(nil, revision, time.Hour)
	}()
	state.problem(agentapi.ProblemCertificate, "a change")
	<-done
	if _, now := p.Refused(); now == revision {
		t.Error("the revision is the same")
	}
}

// What the kernel says of a rule that it does not take is the member's problem until there is one.
func TestAMissingPacketRuleIsAProblemOfTheMember(t *testing.T) {
	state := newTestBoard()
	p := &packetRule{
		state:  state,
		config: func() agentapi.Config { return agentapi.Config{} },
		member: "shop-1",
		heard:  process.Now(),
	}
	missing := func() string {
		for _, found := range state.snapshot().Problems {
			if found.Code == agentapi.ProblemPacketRule {
				return found.Message
			}
		}
		return ""
	}
	p.look(p.heard.Add(packetRulePatience))
	if says := missing(); says != "" {
		t.Errorf("before the container had its time: %q", says)
	}
	p.look(p.heard.Add(packetRulePatience + time.Second))
	if says := missing(); !strings.Contains(says, "kubectl logs shop-1 -c packet-rule") {
		t.Errorf("a container that says nothing: %q", says)
	}
	p.Report("install the packet rule: operation not supported")
	says := missing()
	for _, part := range []string{"spec.services.primary.rejectNewClients", "operation not supported"} {
		if !strings.Contains(says, part) {
			t.Errorf("a kernel without nf_tables: %q, want %q", says, part)
		}
	}
	// The conditions name the first problem of a member.
	state.problem(agentapi.ProblemWrongPassword, "the agent cannot log in")
	want := []agentapi.ProblemCode{agentapi.ProblemWrongPassword, agentapi.ProblemPacketRule}
	if diff := cmp.Diff(want, published(state)); diff != "" {
		t.Error(diff)
	}
	p.Report("")
	if says := missing(); says != "" {
		t.Errorf("the rule is in place: %q", says)
	}
}
