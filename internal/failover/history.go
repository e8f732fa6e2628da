package failover

import "maps"

// Attempt is the last execution of a rule's step.
type Attempt struct {
	Step StepName
	// Version of the authority over which it was executed.
	Version string
	// Failed: it ended with an error.
	Failed bool
}

// Outcome is what the execution of a plan's first step came to.
type Outcome struct {
	// Failed: the step ended with an error.
	Failed bool
	// Errant is what a comparison of binlogs found, by member; nil when nothing was compared.
	Errant ErrantByMember
}

// After is the history once the first step of a plan was executed over an observation. It
// changes nothing that h shares.
func (h History) After(o Observation, p Plan, out Outcome) History {
	if len(p.Steps) == 0 {
		return h
	}
	h.Attempts = maps.Clone(h.Attempts)
	if h.Attempts == nil {
		h.Attempts = map[RuleName]Attempt{}
	}
	h.LastActed = p.Rule
	h.Attempts[p.Rule] = Attempt{Step: p.Steps[0].Name(), Version: o.Authority.Version, Failed: out.Failed}
	if len(out.Errant) > 0 {
		errant := maps.Clone(h.Errant)
		if errant == nil {
			errant = ErrantByMember{}
		}
		maps.Copy(errant, out.Errant)
		h.Errant = errant
	}
	return h
}

// attempted is the last attempt at the plan's first step over this version of the authority.
func (h History) attempted(version string, p Plan) (Attempt, bool) {
	if len(p.Steps) == 0 {
		return Attempt{}, false
	}
	a, ok := h.Attempts[p.Rule]
	return a, ok && a.Version == version && a.Step == p.Steps[0].Name()
}

// failed: the plan's first step was tried over this version of the authority, and failed.
func (h History) failed(version string, p Plan) bool {
	a, ok := h.attempted(version, p)
	return ok && a.Failed
}

// repeats: the plan's first step is what was executed last, over the same version.
func (h History) repeats(version string, p Plan) bool {
	_, ok := h.attempted(version, p)
	return ok && h.LastActed == p.Rule
}
