package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// commands hands to the machine what the operator and the peer ask of it, and waits for its
// answer.
type commands struct {
	self    agentapi.State // what never changes: names, UIDs and the start of the agent
	gate    gate
	log     logr.Logger
	ops     statusReader
	mysqld  *instance
	state   *board
	answers *answers
	post    func(authority.Event)
}

// vouch asks the machine for this agent's word.
func (m *commands) vouch(ctx context.Context, r agentapi.VouchRequest) (agentapi.VouchReply, error) {
	id := random()
	answer, forget := m.answers.await(id)
	defer forget()
	m.post(authority.VouchAsked{
		At:      process.Now(),
		PairUID: r.PairUID,
		Asker:   r.Asker,
		Epoch:   r.Epoch,
		Nonce:   id,
		Signed:  r.Signed,
	})
	select {
	case got := <-answer:
		v, ok := got.(authority.AnswerVouch)
		if !ok {
			return agentapi.VouchReply{}, errors.New("no word")
		}
		return agentapi.VouchReply{
			Nonce:        r.Nonce,
			Voucher:      m.self.Member,
			VoucherData:  v.Data,
			AgentStart:   m.self.AgentStart,
			Epoch:        v.Epoch,
			Given:        v.Given,
			Why:          v.Why,
			KnownEpoch:   v.Known,
			Holder:       v.Holder.String(),
			Open:         v.Open,
			ClaimsHolder: v.ClaimsHolder,
			Signed:       v.Signed,
			Mysqld:       &agentapi.VoucherMysqld{Incarnation: v.Incarnation, Ending: v.Ending},
		}, nil
	case <-ctx.Done():
		return agentapi.VouchReply{}, ctx.Err()
	}
}

// command hands a command to the machine and waits for what becomes of it.
func (m *commands) command(ctx context.Context, kind authority.CommandKind, c agentapi.Command) (authority.Answer, error) {
	id := random()
	answer, forget := m.answers.await(id)
	defer forget()
	m.log.Info("command", "kind", kind, "epoch", c.Epoch, "ledgerVersion", c.LedgerVersion, "requestID", c.RequestID)
	m.post(authority.Commanded{
		At:      process.Now(),
		ID:      id,
		Kind:    kind,
		PairUID: c.PairUID,
		Epoch:   c.Epoch,
		Ledger:  c.LedgerVersion,
		Signed:  c.Signed,
	})
	select {
	case got := <-answer:
		switch v := got.(type) {
		case authority.Answer:
			return v, nil
		case authority.Refuse:
			code := agentapi.ErrorRefused
			switch v.Reason {
			case authority.RefusedStale:
				code = agentapi.ErrorStale
			case authority.RefusedWrongPair:
				code = agentapi.ErrorWrongPair
			case authority.RefusedFailed:
			}
			return authority.Answer{}, refuse(code, "%s", v.Why)
		default:
			return authority.Answer{}, errors.New("no answer")
		}
	case <-ctx.Done():
		return authority.Answer{}, ctx.Err()
	}
}

// fence hands a command to the machine that takes something from this member, and says what is
// proven.
func (m *commands) fence(ctx context.Context, kind authority.CommandKind, c agentapi.Command) (agentapi.FenceReply, error) {
	answer, err := m.command(ctx, kind, c)
	if err != nil {
		return agentapi.FenceReply{}, err
	}
	m.log.Info("command done", "kind", kind, "epoch", answer.Epoch, "ceased", answer.Ceased, "processStopped", answer.ProcessStopped,
		"demoted", answer.Demoted, "receiverStopped", answer.ReceiverStopped, "requestID", c.RequestID)
	reply := agentapi.FenceReply{
		RequestID:       c.RequestID,
		Member:          m.self.Member,
		PodUID:          m.self.PodUID,
		AgentStart:      m.self.AgentStart,
		Epoch:           answer.Epoch,
		Ceased:          answer.Ceased,
		ReceiverStopped: kind == authority.CommandAckFence && answer.ReceiverStopped,
	}
	if kind == authority.CommandFence {
		reply.ProcessStopped = answer.ProcessStopped
		reply.Demoted = answer.Demoted
	}
	if reply.Demoted {
		reply.BinlogGTIDs = m.mysqld.closedWith()
	}
	return reply, nil
}

// receivePatience bounds how long an ack fence waits for what it is to receive first.
const receivePatience = 2 * time.Second

// ackFence stops the receiver, once it has received what the command names. A planned
// switchover names what the former primary's binlog held when it was closed, so that nothing
// is left behind there.
func (m *commands) ackFence(ctx context.Context, c agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	if c.Receive != "" {
		if err := m.awaitReceived(ctx, c); err != nil {
			return agentapi.FenceReply{}, err
		}
	}
	return m.fence(ctx, authority.CommandAckFence, c.Command)
}

func (m *commands) awaitReceived(ctx context.Context, c agentapi.AckFenceCommand) error {
	if err := m.gate.head(c.Command); err != nil {
		return err
	}
	want, err := gtid.Parse(c.Receive)
	if err != nil {
		return refuse(agentapi.ErrorMalformed, "receive: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, receivePatience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		asked := process.Now()
		status, err := m.ops.Status(ctx)
		if err == nil {
			m.state.saw(status, asked)
		}
		if err == nil && status.Received.Covers(want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return refuse(agentapi.ErrorRefused, "this member has not received everything of the former primary within %s", receivePatience)
		case <-ticker.C:
		}
	}
}
