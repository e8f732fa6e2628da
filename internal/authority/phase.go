package authority

import "github.com/dbpair/dbpair/internal/agentapi"

// Phase is the phase of an agent with this view whose volume holds data and is not at
// work on it: Recovering when no mysqld is verified yet.
func (v View) Phase() agentapi.Phase {
	switch v.Serving {
	case Shut, Ending:
		return agentapi.PhaseClosed
	case Opening:
		return agentapi.PhaseOpening
	case Serves:
		return agentapi.PhaseOpen
	case Closing, Killing:
		return agentapi.PhaseClosing
	case Stopped, Booting:
	}
	if v.Held {
		return agentapi.PhaseHeld
	}
	return agentapi.PhaseRecovering
}
