package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/packetrule"
)

// packetRulePatience is for how long the container with the packet rule may say nothing: it answers each second, and a
// container that ended is started again after ten seconds at first.
const packetRulePatience = 30 * time.Second

// packetRule says to the container with the packet rule where the kernel refuses new clients of this member, and publishes
// that the kernel does not.
type packetRule struct {
	state  *board
	config func() agentapi.Config
	member string
	mysql  uint16
	door   uint16

	mu    sync.Mutex
	heard authority.Instant // when the container has said something
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

// Report implements packetrule.Source.
func (p *packetRule) Report(problem string) {
	p.mu.Lock()
	p.heard = process.Now()
	p.mu.Unlock()
	p.publish(problem)
}

// look publishes that the container says nothing, or has not begun to.
func (p *packetRule) look(now authority.Instant) {
	p.mu.Lock()
	silent := now.Sub(p.heard) > packetRulePatience
	p.mu.Unlock()
	if silent {
		p.publish(fmt.Sprintf("its container has said nothing for %s; see kubectl logs %s -c packet-rule", packetRulePatience, p.member))
	}
}

func (p *packetRule) publish(problem string) {
	if problem == "" {
		p.state.resolve(agentapi.ProblemPacketRule)
		return
	}
	p.state.problem(agentapi.ProblemPacketRule,
		"spec.services.primary.rejectNewClients: PacketReset is without effect here, and the member serves without it: "+problem)
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
// goes wrong here is published, and the kernel refuses nobody.
func (a *Agent) servePacketRule(ctx context.Context) {
	if a.opt.PacketRuleDir == "" {
		return
	}
	says := &packetRule{
		state:  a.state,
		config: a.settings.get,
		member: string(a.env.PodName),
		mysql:  uint16(a.opt.MySQLPort),
		door:   uint16(a.opt.DoorPort),
		heard:  process.Now(),
	}
	listener, err := packetrule.Listen(ctx, filepath.Join(a.opt.PacketRuleDir, agentapi.PacketRuleSocket))
	if err != nil {
		says.publish(err.Error())
		return
	}
	go func() {
		if err := packetrule.Serve(ctx, listener, says); err != nil {
			says.publish(err.Error())
		}
	}()
	go every(ctx, packetRulePatience/10, func() { says.look(process.Now()) })
}
