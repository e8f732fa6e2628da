package failover

import "slices"

// Explanation is what the tables say about a rule.
type Explanation struct {
	// Says is one sentence: when the rule applies, and what it does.
	Says string
	// Until is what ends it or leads to another decision.
	Until string
	// Doubt: the rule can leave the pair in doubt, and has a page in docs/runbooks.
	Doubt bool
}

// Situation is what the choice of the tables about roles depends on.
type Situation struct {
	// Begun: the pair has had a primary.
	Begun bool
	// Held: a member is the holder now.
	Held bool
}

// Explain is what the tables that are asked in a situation say about a rule; where it stands in
// none of those, what any table says. It is false for a name that no rule has.
func Explain(name RuleName, in Situation) (Explanation, bool) {
	rows := slices.Concat(rolesIn(in), refusalRules, recordRules)
	for _, t := range tables {
		rows = append(rows, t.rules...)
	}
	at := slices.IndexFunc(rows, func(r rule) bool { return r.name == name })
	if at < 0 {
		return Explanation{}, false
	}
	return Explanation{
		Says:  rows[at].says,
		Until: rows[at].until,
		Doubt: rows[at].doubts,
	}, true
}
