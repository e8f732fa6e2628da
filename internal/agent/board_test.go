package agent

import (
	"reflect"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// newTestBoard is the board of an agent whose other parts say nothing.
func newTestBoard() *board {
	return newBoard(logr.Discard(), agentapi.State{}, func() agentapi.Config { return agentapi.Config{} })
}

func TestAnAnswerToAnOlderQuestionReplacesNoNewerOne(t *testing.T) {
	b := newTestBoard()
	b.saw(mysqlops.Status{OfflineMode: true}, 20)
	b.saw(mysqlops.Status{OfflineMode: false}, 10)
	if s := b.snapshot(); s.Server == nil || !s.Server.OfflineMode {
		t.Errorf("the state says %+v", s.Server)
	}
	b.forgetServer()
	if s := b.snapshot(); s.Server != nil {
		t.Errorf("a mysqld that has ended is described: %+v", s.Server)
	}
}

func TestWhoWaitsIsWokenByNewsOnly(t *testing.T) {
	b := newTestBoard()
	b.bump()
	before := b.snapshot().Revision
	begun := process.Now()
	b.wait(nil, before, 10*time.Millisecond)
	if waited := process.Now().Sub(begun); waited < 10*time.Millisecond {
		t.Errorf("without news it returned after %s", waited)
	}
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		b.wait(nil, before, time.Hour)
	}()
	b.see(authority.View{OpenEpoch: 3})
	<-woken
	if s := b.snapshot(); s.Revision == before || s.OpenEpoch != 3 {
		t.Errorf("revision %d, open epoch %d", s.Revision, s.OpenEpoch)
	}
}

func TestTheStateSaysWhatTheMemberIsAllItsLife(t *testing.T) {
	environment := Environment{
		PairUID: "pair",
		PodName: "shop-0",
		PodUID:  "pod",
	}
	self := selfOf(environment, "start", "1.2.3")
	b := newBoard(logr.Discard(), self, func() agentapi.Config { return agentapi.Config{} })
	got := b.facts(authority.View{})
	lasting := agentapi.State{
		PairUID:      got.PairUID,
		Member:       got.Member,
		PodUID:       got.PodUID,
		AgentStart:   got.AgentStart,
		AgentVersion: got.AgentVersion,
		TellsRole:    got.TellsRole,
	}
	if !reflect.DeepEqual(lasting, self) {
		t.Errorf("the state has %+v of %+v", lasting, self)
	}
}

func TestThePhaseOfAMember(t *testing.T) {
	data := volume.Identity{DataID: "data-0"}
	for name, c := range map[string]struct {
		member   memberNow
		problems []agentapi.ProblemCode
		want     agentapi.Phase
	}{
		"an empty volume":           {want: agentapi.PhaseEmpty},
		"data that was given up":    {member: memberNow{identity: volume.Identity{DataID: "data-0", Void: true}}, want: agentapi.PhaseVoid},
		"a seed under way":          {member: memberNow{busy: &maintenance{phase: agentapi.PhaseSeeding}}, want: agentapi.PhaseSeeding},
		"mysqld starts":             {member: memberNow{identity: data}, want: agentapi.PhaseRecovering},
		"settings that it refuses":  {memberNow{identity: data}, []agentapi.ProblemCode{agentapi.ProblemConfigInvalid}, agentapi.PhaseFailed},
		"mysqld ended once":         {memberNow{identity: data}, []agentapi.ProblemCode{agentapi.ProblemMysqldExits}, agentapi.PhaseRecovering},
		"mysqld ended three times":  {memberNow{identity: data}, repeated(agentapi.ProblemMysqldExits, 3), agentapi.PhaseFailed},
		"a problem of the operator": {memberNow{identity: data}, repeated(agentapi.ProblemAuthorityUnread, 3), agentapi.PhaseRecovering},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBoard()
			b.from.member = func() memberNow { return c.member }
			b.remember(foundVolume{})
			b.see(authority.View{Data: true, Serving: authority.Booting})
			for _, code := range c.problems {
				b.problem(code, "it is so")
			}
			if got := b.snapshot().Phase; got != c.want {
				t.Errorf("phase %s, want %s", got, c.want)
			}
		})
	}
}

func repeated(code agentapi.ProblemCode, times int) []agentapi.ProblemCode {
	all := make([]agentapi.ProblemCode, times)
	for i := range all {
		all[i] = code
	}
	return all
}

func TestTheStateNamesWhatTheOtherPartsSay(t *testing.T) {
	b := newTestBoard()
	b.from = sources{
		peer:   func() (*agentapi.State, time.Duration) { return nil, 3 * time.Second },
		door:   func() *agentapi.Door { return &agentapi.Door{Held: 2} },
		member: func() memberNow { return memberNow{lastOpen: stamp{epoch: 4, opened: 1, closed: 2}} },
		forces: func() string { return "repair" },
		drain:  func() *agentapi.Drain { return &agentapi.Drain{Operation: "switchover"} },
	}
	s := b.snapshot()
	if s.PeerSilentFor != 3*time.Second || s.Door.Held != 2 || s.ForcesRowsFor != "repair" || s.Drain.Operation != "switchover" {
		t.Errorf("the state is %+v", s)
	}
	if s.LastOpen == nil || s.LastOpen.Epoch != 4 || s.LastOpen.ClosedAge <= 0 {
		t.Errorf("it was open last: %+v", s.LastOpen)
	}
}
