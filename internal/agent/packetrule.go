package agent

import (
	"context"
	"path/filepath"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/packetrule"
)

// packetRule says to the container with the packet rule where the kernel refuses new clients of this member.
type packetRule struct {
	state  *board
	config func() agentapi.Config
	mysql  uint16
	door   uint16
}

// Refused implements packetrule.Source.
func (p *packetRule) Refused() (ports []uint16, revision int64) {
	s := p.state.snapshot()
	return p.ports(s, p.config()), s.Revision
}

func (p *packetRule) ports(s agentapi.State, c agentapi.Config) (refused []uint16) {
	if refusesClients(s, c) {
		refused = append(refused, p.mysql)
	}
	if doorResets(s, c) {
		refused = append(refused, p.door)
	}
	return refused
}

// Wait implements packetrule.Source.
func (p *packetRule) Wait(done <-chan struct{}, revision int64, limit time.Duration) {
	p.state.wait(done, revision, limit)
}

// refusesClients: this member's mysqld serves no clients of the pair. It is not open for writes, and no readers are led to it.
func refusesClients(s agentapi.State, c agentapi.Config) bool {
	if s.Phase == agentapi.PhaseOpen {
		return false
	}
	answers := s.Server != nil && s.ServerAge <= c.DeadAfter
	reads := s.Phase == agentapi.PhaseClosed && answers && servesReads(s.Server)
	return c.WithoutReaders || !reads
}

// doorResets: the door would answer each client with a reset. In the other modes it has something to say: an error, or the
// greeting of the new primary.
func doorResets(s agentapi.State, c agentapi.Config) bool {
	return s.Phase != agentapi.PhaseOpen && c.OnRoleChange == agentapi.OnRoleChangeReset
}

// servePacketRule tells the container with the packet rule, if there is one, what is refused. The member does without it: what
// goes wrong here is logged, and the kernel refuses nobody.
func (a *Agent) servePacketRule(ctx context.Context) {
	if a.opt.PacketRuleDir == "" {
		return
	}
	listener, err := packetrule.Listen(ctx, filepath.Join(a.opt.PacketRuleDir, agentapi.PacketRuleSocket))
	if err != nil {
		a.log.Error(err, "clients are not refused by a packet rule")
		return
	}
	says := &packetRule{
		state:  a.state,
		config: a.settings.get,
		mysql:  uint16(a.opt.MySQLPort),
		door:   uint16(a.opt.DoorPort),
	}
	go func() {
		if err := packetrule.Serve(ctx, listener, says); err != nil {
			a.log.Error(err, "clients are not refused by a packet rule")
		}
	}()
}
