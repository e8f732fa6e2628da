package agent

import (
	"net/http"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// roleConnections is how many connections of routers are open at once: each of two pods asks two
	// questions at a time.
	roleConnections = 64
	// releaseLimit is how long after it opened a member waits to be told that clients may come. The
	// operator says so once in each epoch, and an agent that was restarted since does not know.
	releaseLimit = 5 * time.Second
)

// roles tell routers whether this member is the primary, or a passive that serves reads. They
// change nothing, and say nothing else to anybody.
type roles struct {
	self   pair.MemberName
	state  *board
	config func() agentapi.Config
}

func (r *roles) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+agentapi.PathPrimary, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(primaryStatus(r.state.snapshot(), r.config()))
	})
	mux.HandleFunc("GET "+agentapi.PathPassive, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(passiveStatus(r.self, r.state.view(), r.state.snapshot(), r.config()))
	})
	return mux
}

// primaryStatus: mysqld is open at the epoch of the authority. While its sessions are drained, and
// before clients are let through, those that are connected stay and others are led elsewhere.
func primaryStatus(s agentapi.State, c agentapi.Config) int {
	drains := s.Drain != nil && s.Drain.Left > 0
	switch {
	case s.Phase != agentapi.PhaseOpen:
		return http.StatusServiceUnavailable
	case drains, s.Ending, !admitsClients(s, c):
		return http.StatusNotFound
	}
	return http.StatusOK
}

// admitsClients: the operator has let clients through at this epoch, or does not say so.
func admitsClients(s agentapi.State, c agentapi.Config) bool {
	if c.OnRoleChange != agentapi.OnRoleChangeHold || s.Door == nil || s.Door.Released >= s.OpenEpoch {
		return true
	}
	return s.LastOpen != nil && s.LastOpen.OpenedAge > releaseLimit
}

// passiveStatus: mysqld serves reads alone, follows the holder of the newest authority known, and is
// not too far behind. It ends before the member is appointed: at the first word of a newer epoch.
func passiveStatus(self pair.MemberName, v authority.View, s agentapi.State, c agentapi.Config) int {
	server := s.Server
	if s.Phase != agentapi.PhaseClosed || server == nil || s.ServerAge > c.DeadAfter {
		return http.StatusServiceUnavailable
	}
	follows := v.HolderRead && !v.Holder.Nobody() && v.Holder.Member != self
	readable := servesReads(server)
	replicates := server.Receiver.Running && server.Applier.Running
	limit := c.PassiveMaxLag
	if limit == 0 {
		limit = agentapi.DefaultPassiveMaxLag
	}
	current := server.LagSeconds >= 0 && time.Duration(server.LagSeconds)*time.Second <= limit
	if follows && readable && replicates && current {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// servesReads: mysqld takes clients and lets none of them write.
func servesReads(server *agentapi.Server) bool {
	return server.SuperReadOnly && !server.OfflineMode
}
