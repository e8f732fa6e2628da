package failover

// holdsAt: clients who are led to the door of this member wait there for its mysqld to open,
// for a bounded time. An agent of an earlier version refuses them.
func (l *look) holdsAt(m *Member) bool {
	return l.Settings.HoldsClients && m != nil && m.heard() && m.State.Door != nil
}

// clearTheWay is what a member that is being appointed needs before clients are let through its
// door: the deletion of the pod that the Service led to before, and then the release. A
// deletion that is not accepted ends it there, and the release comes with the Service.
func (l *look) clearTheWay(to *Member) []Step {
	s, stands := l.standing(to)
	steps := l.deleteStanding(to)
	if !l.holdsAt(to) || (stands && l.leadsTo(l.member(s.Member))) {
		return steps
	}
	steps = append(steps, ReleaseHeld{Subject: to.subject()})
	if len(steps) == 1 {
		return steps
	}
	return []Step{InOrder{Steps: steps}}
}

// withRelease is the Service's move to the mysqld of the holder, and beside it the release of
// who is held at its door, unless that was released at this epoch. Both have the same
// condition: the pod that the Service led to before is being deleted.
func (l *look) withRelease(step Step, leads Door) []Step {
	m := l.holder
	if leads != LeadsOpen || !l.holdsAt(m) || m.State.Door.Released >= l.e {
		return []Step{step}
	}
	if _, stands := l.standing(m); stands {
		return []Step{step}
	}
	return together([]Step{step, ReleaseHeld{Subject: m.subject()}})
}
