package failover

import (
	"fmt"
	"slices"

	"github.com/dbpair/dbpair/internal/pair"
)

// Remedy is what a person can do about a plan's fact. The zero value is nothing.
type Remedy struct {
	Verb Verb
	// Targets are the members that the verb can name, of which one is to be chosen; none for
	// a verb that takes no member.
	Targets []pair.MemberName
	// Unapplied are those of them that cannot apply what they received: the verb promotes them
	// only when it may discard that.
	Unapplied []pair.MemberName
	// Loses is half a sentence about what it may cost.
	Loses string
}

// FlagDiscardUnapplied is the flag of the plugin that allows a forced promotion to discard
// what the member has received and cannot apply.
const FlagDiscardUnapplied = "--discard-unapplied"

// Commands are the complete commands of the plugin, one for each target. The plugin asks for
// the typed confirmation <pair>/<epoch>, unless it is given as --confirm.
func (r Remedy) Commands(namespace, name string) []string {
	if r.Verb == VerbNone {
		return nil
	}
	if len(r.Targets) == 0 {
		return []string{fmt.Sprintf("kubectl dbpair %s %s -n %s", r.Verb, name, namespace)}
	}
	var out []string
	for _, m := range r.Targets {
		command := fmt.Sprintf("kubectl dbpair %s %s %s -n %s", r.Verb, name, m, namespace)
		if slices.Contains(r.Unapplied, m) {
			command += " " + FlagDiscardUnapplied
		}
		out = append(out, command)
	}
	return out
}

// remedy is the plan's verb with the members that it can name now.
func (l *look) remedy(p Plan) Remedy {
	r := Remedy{Verb: p.Verb}
	switch p.Verb {
	case VerbNone, VerbSwitchover:
	case VerbFailover:
		r.Loses = "the sessions of clients end; no acknowledged write is lost"
		if !l.Settings.Lossless {
			r.Loses = "the sessions of clients end, and what the passive has not received is lost"
		}
	case VerbFence:
		r.Loses = "nobody accepts writes until it is released; no data is lost"
	case VerbRelease:
		r.Loses = "no data is lost"
	case VerbReseed:
		if l.passive != nil {
			r.Targets = []pair.MemberName{l.passive.Name}
		}
		r.Loses = "what it alone has is given up, after a confirmation, and its binary logs stay in its quarantine; " +
			"nobody can take over until the copy is in sync"
	case VerbAdopt:
		r.Targets = l.membersThat(func(m *Member) bool {
			_, err := l.adoption(m)
			return m.heard() && err == nil
		})
		r.Loses = "writes that only the other member has stay on its volume and are not merged"
	case VerbConfirmDead:
		r.Targets = l.membersThat(func(m *Member) bool { return p.isMissing(m.Name) })
		r.Loses = "if its mysqld still runs, what clients write there is lost"
	case VerbForcePromote:
		r.Targets = l.forceable()
		r.Loses = "acknowledged writes that it lacks are lost, unless the other member's volume is kept and read by hand"
		r.Unapplied = slices.DeleteFunc(slices.Clone(r.Targets), func(name pair.MemberName) bool { return !l.cannotApply(l.member(name)) })
		if len(r.Unapplied) > 0 {
			r.Loses = "acknowledged writes that it has received and cannot apply are lost: " +
				"they stay only in the relay log that is saved on its volume, and on the other member's"
		}
		if l.e == 0 {
			r.Loses = "nothing was acknowledged yet, unless the Lease is older than the first appointment"
		}
	}
	return r
}

func (p Plan) isMissing(m pair.MemberName) bool {
	for _, s := range p.Missing {
		if s.Member == m {
			return true
		}
	}
	return false
}

// membersThat are the members of which this is so; all, when it is of none, since one of
// them may come back.
func (l *look) membersThat(can func(*Member) bool) []pair.MemberName {
	var some, all []pair.MemberName
	for i := range l.Members {
		m := &l.Members[i]
		all = append(all, m.Name)
		if can(m) {
			some = append(some, m.Name)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// forceable are the members that can be promoted by force, or begun on: not the holder.
func (l *look) forceable() []pair.MemberName {
	targets := l.membersThat(func(m *Member) bool {
		if l.e == 0 {
			return l.cannotBegin(m) == ""
		}
		return m != l.holder && !m.Pod.Deleting && l.cannotForce(m) == ""
	})
	if l.holder == nil || len(targets) < 2 {
		return targets
	}
	return slices.DeleteFunc(targets, func(m pair.MemberName) bool { return m == l.holder.Name })
}

// forceCommand promotes this very member by force.
func (l *look) forceCommand(m *Member) string {
	r := Remedy{Verb: VerbForcePromote, Targets: []pair.MemberName{m.Name}}
	if l.cannotApply(m) {
		r.Unapplied = r.Targets
	}
	return r.Commands(l.Settings.Namespace, l.Settings.Name)[0]
}
