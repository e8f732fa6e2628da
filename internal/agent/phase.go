package agent

import (
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// phaseOf names what the agent is doing. Called with b.mu held.
func (b *board) phaseOf(v authority.View, c child, void, empty bool, busy *maintenance) agentapi.Phase {
	switch {
	case b.phase != "":
		return b.phase
	case busy != nil:
		return busy.phase
	case void:
		return agentapi.PhaseVoid
	case empty:
		return agentapi.PhaseEmpty
	}
	if phase := v.Phase(); phase != agentapi.PhaseRecovering {
		return phase
	}
	for _, code := range []agentapi.ProblemCode{
		agentapi.ProblemConfigInvalid,
		agentapi.ProblemNoMysqld,
		agentapi.ProblemMysqldTooOld,
		agentapi.ProblemUpgradePath,
		agentapi.ProblemOwnedVariable,
	} {
		if p := b.problems[code]; p != nil && p.active {
			return agentapi.PhaseFailed
		}
	}
	if p := b.problems[agentapi.ProblemMysqldExits]; p != nil && p.active && c.proc == nil && p.Count >= 3 {
		return agentapi.PhaseFailed
	}
	return agentapi.PhaseRecovering
}
