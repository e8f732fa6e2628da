package agent

import (
	"context"
	"errors"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pair"
)

// confirming asks for the machine whether this member may stay open: the Lease, and the peer.
type confirming struct {
	pairUID pair.UID
	self    pair.MemberName
	lease   leaseSource
	peer    confirmer
	state   *board
	post    func(authority.Event)

	countRead   func(outcome authority.ReadOutcome)
	countAnswer func(result string)
}

// confirmer is the peer, which confirms or does not.
type confirmer interface {
	vouch(ctx context.Context, request agentapi.VouchRequest, fresh bool) authority.VouchAnswered
}

// readLease reads the Lease for the machine, and publishes when that fails for long.
func (c *confirming) readLease(ctx context.Context, act authority.ReadLease) {
	ctx, cancel := context.WithTimeout(ctx, act.Limit)
	defer cancel()
	asked := process.Now()
	record, outcome, err := c.lease.read(ctx, act.Fresh)
	c.countRead(outcome)
	c.post(authority.LeaseRead{
		AskedAt: asked,
		At:      process.Now(),
		Outcome: outcome,
		Record:  record,
	})
	c.state.leaseRead(record, outcome, asked)
	switch {
	case err == nil:
		c.state.resolve(agentapi.ProblemAuthorityUnread)
	case errors.Is(err, lease.ErrMissing), errors.Is(err, lease.ErrMalformed), errors.Is(err, authority.ErrNotAuthentic):
		c.state.problem(agentapi.ProblemAuthorityUnread, err.Error())
	case c.state.leaseAge() > 3*c.state.view().LeaseDuration:
		c.state.problem(agentapi.ProblemAuthorityUnread, "the API server does not answer: "+err.Error())
	}
}

// askPeer asks the peer for its confirmation.
func (c *confirming) askPeer(ctx context.Context, act authority.AskVouch) {
	ctx, cancel := context.WithTimeout(ctx, act.Limit)
	defer cancel()
	answer := c.peer.vouch(ctx, agentapi.VouchRequest{
		PairUID: c.pairUID,
		Asker:   c.self,
		Epoch:   act.Epoch,
		Nonce:   act.Nonce,
		Signed:  act.Signed,
	}, act.Fresh)
	result := "unanswered"
	if answer.Answered {
		result = map[bool]string{true: "given", false: "refused"}[answer.Given]
	}
	c.countAnswer(result)
	c.post(answer)
}
