package agent

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// peerLink is this agent's view of the other one.
type peerLink struct {
	client *agentclient.Client // states
	word   *agentclient.Client // vouches, on a connection of their own

	mu       sync.Mutex
	state    *agentapi.State
	heardAt  authority.Instant
	failures int
}

func newPeerLink(opt Options, env Environment, config agentapi.Config, c *certs) *peerLink {
	address := opt.PeerAddress
	if address == "" {
		address = net.JoinHostPort(config.Host(env.Peer), strconv.Itoa(pair.PortAgent))
	}
	name := agentapi.RolePeerPrefix + string(env.Peer)
	conf := func() (*tls.Config, error) { return c.client(name) }
	return &peerLink{
		client:  &agentclient.Client{Address: address, TLS: conf},
		word:    &agentclient.Client{Address: address, TLS: conf},
		heardAt: process.Now(),
	}
}

// ask reads the peer's state; fresh has its mysqld asked again.
func (p *peerLink) ask(ctx context.Context, limit time.Duration, fresh bool) (*agentapi.State, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := process.Now()
	state, err := p.client.State(ctx, 0, 0, fresh)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failures++
		return nil, err
	}
	p.failures = 0
	p.heardAt = max(p.heardAt, asked)
	p.state = &state
	return &state, nil
}

// last is the newest state heard, nil before the first, and for how long the peer has
// been silent.
func (p *peerLink) last() (*agentapi.State, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, process.Now().Sub(p.heardAt)
}

// vouch asks for the peer's word and returns it as the machine wants it.
func (p *peerLink) vouch(ctx context.Context, request agentapi.VouchRequest, fresh bool) authority.VouchAnswered {
	if fresh {
		p.word.Renew()
	}
	asked := process.Now()
	out := authority.VouchAnswered{Epoch: request.Epoch, Nonce: request.Nonce}
	reply, err := p.word.Vouch(ctx, request)
	out.At = process.Now()
	if err != nil || reply.Voucher == request.Asker || reply.Epoch != request.Epoch {
		return out
	}
	out.Nonce = reply.Nonce
	out.Data = reply.VoucherData
	out.Answered = true
	out.Given = reply.Given
	out.Known = reply.KnownEpoch
	out.Open = reply.Open
	out.ClaimsHolder = reply.ClaimsHolder
	out.Signed = reply.Signed
	if d := reply.Mysqld; d != nil {
		out.PeerMysqld = authority.PeerMysqld{
			ReportsMysqld: true,
			Incarnation:   d.Incarnation,
			Ending:        d.Ending,
		}
	}
	holder, err := pair.ParseHolder(reply.Holder)
	if err != nil {
		out.Given = false
	}
	out.Holder = holder
	p.mu.Lock()
	p.heardAt = max(p.heardAt, asked)
	p.mu.Unlock()
	return out
}
