package sim

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// loadStories are about what clients and administrators do to mysqld.
var loadStories = []story{
	{name: "primaryDies", tell: primaryDies},
	{name: "asyncPrimaryReturns", tell: asyncPrimaryReturns},
	{name: "confirmedDeadReturns", tell: confirmedDeadReturns},
	{name: "budgetSpent", tell: budgetSpent},
	{name: "diesAfterJoining", tell: diesAfterJoining},
	{name: "longChange", tell: longChange},
	{name: "settingDrifts", tell: settingDrifts},
	{name: "eventsCommit", tell: eventsCommit},
	{name: "passiveReseeded", tell: passiveReseeded},
}

// aSwitch is what a role change may take beside what it waits for: looks of the operator,
// the start of a mysqld, the way of the Service and a client's own pause.
const aSwitch = 8 * time.Second

// primaryDies: the primary of a healthy pair dies, and the passive takes over.
func primaryDies(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	died := fault{
		kind:   t.one("mysqldKilled", "nodeCrashed", "agentKilled"),
		at:     t.at,
		member: theHolder,
		lasts:  t.in(4*sec, 10*sec),
	}
	t.s.gapMost = t.s.deadAfter + t.s.lease + t.s.margin + aSwitch
	return []fault{died}
}

// asyncPrimaryReturns: in Async the primary goes while no client writes, and comes back. Nobody
// can say that its tail was never acknowledged; it may have none.
func asyncPrimaryReturns(t *teller) []fault {
	t.quiet()
	t.s.lossless = false
	t.s.follows = true
	died := fault{
		kind:   t.one("mysqldKilled", "nodeCrashed", "agentKilled", "cutWhole"),
		at:     t.at,
		member: theHolder,
		lasts:  t.in(4*sec, 10*sec),
	}
	return []fault{{kind: "clientsRest", at: t.at - 2*sec, lasts: t.in(sec, 3*sec)}, died}
}

// confirmedDeadReturns: the primary's machine is lost, a person says that it is dead, and it
// comes back.
func confirmedDeadReturns(t *teller) []fault {
	t.quiet()
	t.s.follows = true
	t.s.lossless = t.r.IntN(2) == 0
	return []fault{
		{kind: "clientsRest", at: t.at - 2*sec, lasts: t.in(sec, 3*sec)},
		{kind: "nodeCrashed", at: t.at, member: theHolder, lasts: t.in(8*sec, 15*sec)},
		{kind: "personConfirmsDead", at: t.at + t.in(0, 4*sec), member: theHolder},
	}
}

// budgetSpent: the primary dies again and again, more often than it may be failed over in an
// hour by the operator alone. From then on it recovers where it is.
func budgetSpent(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.maxPerHour = 1
	t.s.gapMost = t.s.deadAfter + t.s.lease + t.s.margin + t.s.restartInPlace + aSwitch
	again := fault{
		kind:   t.one("mysqldKilled", "agentKilled"),
		at:     t.at + sec,
		member: theHolder,
		after:  onBoth,
		delay:  t.in(sec, 3*sec),
	}
	return []fault{{kind: "mysqldKilled", at: t.at, member: theHolder}, again}
}

// diesAfterJoining: the primary dies just when its passive has joined again, and has not read
// of that.
func diesAfterJoining(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.leaseEvery = 10 * sec
	t.s.lease = 2 * sec
	t.s.margin, t.s.agentLease = authority.LeastMargin(t.s.lease), t.s.lease
	died := fault{kind: "mysqldKilled", at: t.at, member: theHolder, after: onBoth, delay: t.in(0, sec)}
	return []fault{{kind: "peerRestarted", at: t.at}, died}
}

// longChange: the passive is busy with an ALTER for long when the primary dies. The primary
// comes back in time and goes on.
func longChange(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	long := t.in(15*sec, 50*sec)
	died := fault{kind: t.one("mysqldKilled", "agentKilled", "personFails"), at: t.at + t.in(500*ms, 4*sec), member: theHolder}
	t.s.gapMost = t.s.deadAfter + t.s.lease + t.s.margin + t.s.applyTimeout + t.s.restartInPlace + aSwitch
	return []fault{{kind: "longChange", at: t.at, member: theHolder, lasts: long}, died}
}

// eventsCommit: the first commit that waits after the passive's loss is one of an event.
func eventsCommit(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	lost := fault{
		kind:   t.one("cutPeer", "nodeCrashed", "mysqldStopped"),
		at:     t.at,
		member: thePassive,
		lasts:  t.in(14*sec, 20*sec),
	}
	t.s.gapMost = t.s.passiveTimeout + t.s.deadAfter + aSwitch
	return []fault{
		{kind: "clientsRest", at: t.at - sec, lasts: 2 * sec},
		{kind: "eventsCommit", at: t.at - sec, member: theHolder, lasts: 30 * sec},
		lost,
	}
}

// passiveReseeded: the passive loses its data and is copied again, which may fail in its middle.
func passiveReseeded(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	return []fault{
		{kind: t.one("volumeLost", "volumeEmptied"), at: t.at, member: thePassive},
		{kind: "copiesDie", at: t.at, lasts: t.in(sec, 15*sec)},
	}
}

// settingDrifts: someone changes an owned setting on the passive, and then the primary dies.
func settingDrifts(t *teller) []fault {
	t.quiet()
	t.s.gapMost = t.s.deadAfter + t.s.lease + t.s.margin + t.s.restartInPlace + aSwitch
	drift := fault{kind: "settingDrifts", at: t.at, member: thePassive, lasts: t.in(10*ms, 20*sec)}
	died := fault{kind: t.one("mysqldKilled", "agentKilled"), at: t.at + t.in(sec, 3*sec), member: theHolder}
	return []fault{drift, died}
}
