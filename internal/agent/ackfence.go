package agent

import (
	"context"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// receivePatience bounds how long an ack fence waits for what it is to receive first.
const receivePatience = 2 * time.Second

// ackFence stops the receiver, once it has received what the command names. A planned
// switchover names what the former primary's binlog held when it was closed, so that nothing
// is left behind there.
func (a *Agent) ackFence(ctx context.Context, c agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	if c.Receive != "" {
		if err := a.awaitReceived(ctx, c); err != nil {
			return agentapi.FenceReply{}, err
		}
	}
	return a.fence(ctx, authority.CommandAckFence, c.Command)
}

func (a *Agent) awaitReceived(ctx context.Context, c agentapi.AckFenceCommand) error {
	if err := a.gate.head(c.Command); err != nil {
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
		status, err := a.ops.Status(ctx)
		if err == nil {
			a.state.saw(status, asked)
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
