package agent

import (
	"context"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// gate is what all commands pass that do not go to the machine.
type gate struct {
	pairUID pair.UID
	state   *board
}

// head checks what every such command has in common.
func (g gate) head(c agentapi.Command) error {
	view := g.state.view()
	if c.PairUID != g.pairUID {
		return refuse(agentapi.ErrorWrongPair, "this agent serves pair %s", g.pairUID)
	}
	if err := judge.Stale(c, view); err != nil {
		return refuse(agentapi.ErrorStale, "%v", err)
	}
	return nil
}

// dataGate is what commands pass that make data or give it up: they are judged by the Lease as
// this agent reads it itself.
type dataGate struct {
	gate
	self     pair.MemberName
	peerName pair.MemberName
	lease    leaseSource
	data     *dataset
}

// reading reads the Lease for a command that gives data up or makes it.
func (g dataGate) reading(ctx context.Context) (authority.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	record, outcome, err := g.lease.read(ctx, true)
	if outcome != authority.ReadFound {
		return record, refuse(agentapi.ErrorRefused, "this agent cannot read the Lease itself: %v", err)
	}
	return record, nil
}

// giving is this member as it is judged by when it is to give data up.
func (g dataGate) giving(record authority.Record) judge.Giving {
	id := g.data.get()
	return judge.Giving{
		PairUID: g.pairUID,
		Self:    g.self,
		Peer:    g.peerName,
		DataID:  id.DataID,
		Void:    id.Void,
		View:    g.state.view(),
		Record:  record,
	}
}
