package failover

import (
	"cmp"
	"fmt"
)

// UnfitForDrill says why a drill, a switchover on a schedule, cannot begin now; empty when it
// can. It asks for more than a switchover that a person asks for: nothing else may be under way,
// and a failover afterwards must be possible and within its budget. It is pure.
func UnfitForDrill(o Observation, p Plan, s Switchover) string {
	l := newLook(o)
	switch {
	case o.Settings.Paused:
		return "spec.paused is set"
	case o.Settings.Hibernate:
		return "spec.hibernate is set"
	case o.Settings.Deleting:
		return "the pair is being deleted"
	case o.Authority.Reading != Read:
		return "the Lease could not be read"
	case l.holder == nil:
		return "nobody is the primary"
	case len(o.Operations) > 0:
		return fmt.Sprintf("operation %s is not finished", o.Operations[0].Name)
	case o.NeedsRollout():
		return "the members' pods are being made again: " + o.RolloutProgress()
	case !p.FailoverReady.Ready:
		return cmp.Or(p.FailoverReady.Fact, p.Fact, "the pair could not fail over")
	}
	return l.unfitForSwitchover(&Operation{Verb: VerbSwitchover, Switchover: &s})
}
