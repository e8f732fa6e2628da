package agent

import (
	"net/http"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestARouterLeadsClientsToAnOpenMemberThatTakesThem(t *testing.T) {
	open := agentapi.State{
		Phase:     agentapi.PhaseOpen,
		OpenEpoch: 7,
		Door:      &agentapi.Door{Released: 7},
		LastOpen:  &agentapi.OpenInterval{Epoch: 7, OpenedAge: time.Second},
	}
	for name, tc := range map[string]struct {
		change func(*agentapi.State)
		mode   string
		want   int
	}{
		"it is open":                      {func(*agentapi.State) {}, agentapi.OnRoleChangeHold, http.StatusOK},
		"it opens":                        {func(s *agentapi.State) { s.Phase = agentapi.PhaseOpening }, agentapi.OnRoleChangeHold, http.StatusServiceUnavailable},
		"it closes":                       {func(s *agentapi.State) { s.Phase = agentapi.PhaseClosing }, agentapi.OnRoleChangeHold, http.StatusServiceUnavailable},
		"it is closed":                    {func(s *agentapi.State) { s.Phase = agentapi.PhaseClosed }, agentapi.OnRoleChangeHold, http.StatusServiceUnavailable},
		"clients are not let through yet": {func(s *agentapi.State) { s.Door.Released = 5 }, agentapi.OnRoleChangeHold, http.StatusNotFound},
		"nobody says whether they are let through": {func(s *agentapi.State) { s.Door.Released = 0 }, agentapi.OnRoleChangeError, http.StatusOK},
		"an agent that was restarted": {func(s *agentapi.State) {
			s.Door.Released = 0
			s.LastOpen.OpenedAge = time.Minute
		}, agentapi.OnRoleChangeHold, http.StatusOK},
		"it is drained":        {func(s *agentapi.State) { s.Drain = &agentapi.Drain{Left: time.Second} }, agentapi.OnRoleChangeHold, http.StatusNotFound},
		"a drain was given up": {func(s *agentapi.State) { s.Drain = &agentapi.Drain{} }, agentapi.OnRoleChangeHold, http.StatusOK},
		"its pod ends":         {func(s *agentapi.State) { s.Ending = true }, agentapi.OnRoleChangeHold, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := open
			door := *open.Door
			last := *open.LastOpen
			s.Door = &door
			s.LastOpen = &last
			tc.change(&s)
			if got := primaryStatus(s, agentapi.Config{OnRoleChange: tc.mode}); got != tc.want {
				t.Errorf("status %d, want %d", got, tc.want)
			}
		})
	}
}

func TestARouterLeadsReadersToAPassiveThatFollows(t *testing.T) {
	type member struct {
		state  agentapi.State
		server agentapi.Server
		view   authority.View
	}
	for name, tc := range map[string]struct {
		change func(*member)
		want   int
	}{
		"it follows":                         {func(*member) {}, http.StatusOK},
		"it is open":                         {func(m *member) { m.state.Phase = agentapi.PhaseOpen }, http.StatusServiceUnavailable},
		"it opens":                           {func(m *member) { m.state.Phase = agentapi.PhaseOpening }, http.StatusServiceUnavailable},
		"a newer epoch is known":             {func(m *member) { m.view.HolderRead = false }, http.StatusServiceUnavailable},
		"nobody is the holder":               {func(m *member) { m.view.Holder = pair.Holder{} }, http.StatusServiceUnavailable},
		"it is the holder":                   {func(m *member) { m.view.Holder.Member = "shop-1" }, http.StatusServiceUnavailable},
		"it does not receive":                {func(m *member) { m.server.Receiver.Running = false }, http.StatusServiceUnavailable},
		"it does not apply":                  {func(m *member) { m.server.Applier.Running = false }, http.StatusServiceUnavailable},
		"it is at its limit":                 {func(m *member) { m.server.LagSeconds = 30 }, http.StatusOK},
		"it is too far behind":               {func(m *member) { m.server.LagSeconds = 31 }, http.StatusServiceUnavailable},
		"it is not known how far":            {func(m *member) { m.server.LagSeconds = -1 }, http.StatusServiceUnavailable},
		"someone made it writable":           {func(m *member) { m.server.SuperReadOnly = false }, http.StatusServiceUnavailable},
		"it is offline":                      {func(m *member) { m.server.OfflineMode = true }, http.StatusServiceUnavailable},
		"mysqld has not answered for long":   {func(m *member) { m.state.ServerAge = 6 * time.Second }, http.StatusServiceUnavailable},
		"mysqld has not answered since then": {func(m *member) { m.state.Server = nil }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := member{
				server: agentapi.Server{
					SuperReadOnly: true,
					Receiver:      agentapi.ChannelThread{Running: true},
					Applier:       agentapi.ChannelThread{Running: true},
				},
				view: authority.View{
					Holder:     pair.Holder{Member: "shop-0", PodUID: "u"},
					HolderRead: true,
				},
			}
			m.state = agentapi.State{Phase: agentapi.PhaseClosed, Server: &m.server}
			tc.change(&m)
			config := agentapi.Config{DeadAfter: 5 * time.Second, PassiveMaxLag: 30 * time.Second}
			if got := passiveStatus("shop-1", m.view, m.state, config); got != tc.want {
				t.Errorf("status %d, want %d", got, tc.want)
			}
		})
	}
}
