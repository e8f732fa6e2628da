package sim

import "time"

const (
	ms  = time.Millisecond
	sec = time.Second
)

// ledgerStories are about who has which transactions.
var ledgerStories = []story{
	{name: "passiveReturns", tell: passiveReturns},
	{name: "passiveForgets", tell: passiveForgets},
	{name: "tailRecovered", tell: tailRecovered},
	{name: "forcedPromotion", tell: forcedPromotion},
	{name: "staleSeed", tell: staleSeed},
	{name: "reseeded", tell: reseeded},
	{name: "candidateLost", tell: candidateLost},
	{name: "lateAcknowledgement", tell: lateAcknowledgement},
	{name: "diskRolledBack", tell: diskRolledBack},
	{name: "formerPrimaryRolledBack", tell: formerPrimaryRolledBack},
	{name: "dumpImported", tell: dumpImported},
	{name: "binlogsPurged", tell: binlogsPurged},
	{name: "errantOnReturn", tell: errantOnReturn},
	{name: "errantWhileStreaming", tell: errantWhileStreaming},
	{name: "tailCommitted", tell: tailCommitted},
	{name: "ledgerForged", tell: ledgerForged},
	{name: "receivedByHalf", tell: receivedByHalf},
	{name: "cannotApply", tell: cannotApply},
	{name: "candidateStuck", tell: candidateStuck},
}

// ledgerForged: the passive is away, a foreign hand has it count as in sync all the same, the
// operator may end then, and the primary goes.
func ledgerForged(t *teller) []fault {
	t.s.lossless = true
	t.s.continueAlone = true
	t.s.automatic = true
	t.s.twoOperators = false
	t.s.crashAtFailpoint = 0
	forged := t.in(sec, 4*sec)
	faults := []fault{
		{kind: "cutPeer", at: t.at, member: thePassive, lasts: t.s.passiveTimeout + 14*sec},
		{kind: "ledgerForged", at: t.at, after: onSolo, delay: forged},
		{kind: t.crash, at: t.at, member: theHolder, after: onSolo, delay: forged + t.in(2*sec, 5*sec), lasts: 3 * sec},
	}
	if t.r.IntN(2) == 0 {
		faults = append(faults, fault{kind: "operatorCrashed", at: t.at, after: onSolo, delay: forged + t.in(0, sec)})
	}
	return faults
}

// diskRolledBack: both machines lose power, and the primary's disk comes back older.
func diskRolledBack(t *teller) []fault {
	t.s.lossless = true
	t.s.crashAtFailpoint = 0
	return []fault{{kind: "diskOlder", at: t.at, member: theHolder, lasts: t.in(500*ms, 4*sec)}}
}

// formerPrimaryRolledBack: the members change roles, both machines lose power, and the former
// primary's disk comes back older. Replication never brings back what it wrote itself.
func formerPrimaryRolledBack(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	return []fault{
		{kind: "personSwitchesOver", at: t.at, what: t.one("Demote", "DeletePod")},
		{kind: "diskMuchOlder", at: t.at + t.in(8*sec, 12*sec), member: thePassive, lasts: t.in(500*ms, 4*sec)},
	}
}

// dumpImported: the primary gets transactions that its passive never can, ends or does not, and a
// person has the passive copied again.
func dumpImported(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	faults := []fault{
		{kind: "dumpImported", at: t.at, member: theHolder},
		{kind: "personReseeds", at: faultsOver - 6*sec, member: thePassive},
	}
	if t.r.IntN(3) > 0 {
		ended := fault{kind: t.crash, at: t.at + t.in(4*sec, 8*sec), member: theHolder, lasts: t.in(sec, 6*sec)}
		faults = append(faults, ended)
	}
	return faults
}

// binlogsPurged: the passive comes back when the primary has purged what it lacks.
func binlogsPurged(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	away := t.s.passiveTimeout + t.in(5*sec, 9*sec)
	return []fault{
		{kind: t.one("nodeCrashed", "cutPeer"), at: t.at, member: thePassive, lasts: away},
		{kind: "binlogsPurged", at: t.at + away - t.in(sec, 3*sec), member: theHolder},
	}
}

// errantOnReturn: an administrator writes on a former primary as soon as it is back.
func errantOnReturn(t *teller) []fault {
	t.quiet()
	t.s.reseeds = true
	t.s.whole = true
	return []fault{
		{kind: t.one("mysqldKilled", "nodeCrashed", "podDeleted"), at: t.at, member: theHolder, lasts: t.in(3*sec, 8*sec)},
		{kind: "errantWrite", at: t.at, member: thePassive, after: onPassiveUp, delay: t.in(0, 20*ms)},
	}
}

// errantWhileStreaming: an administrator writes on a passive that is in sync. It is copied, also when
// the primary ends meanwhile.
func errantWhileStreaming(t *teller) []fault {
	t.quiet()
	t.s.reseeds = true
	t.s.whole = true
	faults := []fault{{kind: "errantWhileStreaming", at: t.at, member: thePassive, after: onBoth, delay: t.in(0, 2*sec)}}
	if t.r.IntN(2) == 0 {
		ended := t.one("mysqldKilled", "nodeCrashed", "podDeleted")
		faults = append(faults, fault{kind: ended, at: t.at + t.in(sec, 8*sec), member: theHolder, lasts: t.in(sec, 5*sec)})
	}
	return faults
}

// tailCommitted: the primary is cut off with commits that wait, its mysqld is restarted in place,
// which commits them, and it comes back to another primary.
func tailCommitted(t *teller) []fault {
	t.quiet()
	t.s.reseeds = true
	t.s.restartInPlace = sec
	cut := t.in(6*sec, 14*sec)
	return []fault{
		{kind: t.one("cutWhole", "cutPeer"), at: t.at, member: theHolder, lasts: cut},
		{kind: "mysqldKilled", at: t.at + t.in(300*ms, 2*sec), member: theHolder},
		{kind: "personForces", at: t.at + t.in(4*sec, 8*sec), member: thePassive},
	}
}

// passiveReturns: the passive comes back, and just then both links and primary go.
func passiveReturns(t *teller) []fault {
	t.s.lossless = true
	t.s.lateReads = 0.3
	if t.r.IntN(3) == 0 {
		return []fault{
			{kind: "foreignReplica", at: t.at, member: theHolder, lasts: 20 * sec},
			{kind: "cutPeer", at: t.at + sec, member: theHolder, lasts: t.in(sec, 4*sec)},
			{kind: t.crash, at: t.at + 2*sec, member: theHolder, lasts: 3 * sec},
		}
	}
	return []fault{
		{kind: "cutPeer", at: t.at, lasts: t.s.passiveTimeout + t.in(2*sec, 4*sec)},
		{
			kind:   "cutPeer",
			at:     t.at + sec,
			member: theHolder,
			after:  onBoth,
			delay:  t.in(0, 600*ms),
			lasts:  t.in(2*sec, 8*sec),
		},
		{kind: t.crash, at: t.at + sec, member: theHolder, after: onBoth, delay: t.in(300*ms, 2*sec), lasts: 3 * sec},
	}
}

// passiveForgets: the passive loses what it had received, and then the primary goes.
func passiveForgets(t *teller) []fault {
	t.s.lossless = true
	t.s.slowStream = 400 * ms
	t.s.applyTime = 150 * ms
	t.s.passiveTimeout = 5 * sec
	if t.r.IntN(2) == 0 {
		t.s.lateAcks, t.s.lateAckP, t.s.slowStream = 4*sec, 0.3, t.in(400*ms, 3*sec)
	}
	return []fault{
		{kind: "nodeCrashed", at: t.at, member: thePassive, lasts: t.in(200*ms, 1500*ms)},
		{
			kind:   t.crash,
			at:     t.at,
			member: theHolder,
			after:  []trigger{onPassiveUp, onBoth, ""}[t.r.IntN(3)],
			delay:  t.in(0, 300*ms),
			lasts:  3 * sec,
		},
	}
}

// tailRecovered: the primary is left with a tail, recovers in place, and goes.
func tailRecovered(t *teller) []fault {
	t.s.lossless = true
	t.s.continueAlone = false
	t.s.automatic = false
	return []fault{
		{kind: "cutPeer", at: t.at, lasts: t.in(6*sec, 9*sec)},
		{kind: "mysqldKilled", at: t.at + t.in(300*ms, 1500*ms), member: theHolder},
		{kind: "nodeCrashed", at: t.at + t.in(5*sec, 8*sec), member: theHolder, lasts: 4 * sec},
		{kind: "personFails", at: t.at + 9*sec},
	}
}

// forcedPromotion: a person forces the member that lacks writes, and the other comes back.
func forcedPromotion(t *teller) []fault {
	t.s.lossless = true
	t.s.continueAlone = true
	alone := t.at + t.s.passiveTimeout
	return []fault{
		{kind: "cutPeer", at: t.at, lasts: t.s.passiveTimeout + 8*sec},
		{kind: "nodeCrashed", at: alone + 3*sec, member: theHolder, lasts: 12 * sec},
		{kind: "personForces", at: alone + 5*sec, member: thePassive},
	}
}

// reseeded: a person has a member copied again while something else goes wrong, or the member's
// copy is late.
func reseeded(t *teller) []fault {
	t.s.lossless = t.r.IntN(4) > 0
	t.s.continueAlone = true
	return []fault{
		{kind: "personReseeds", at: t.at, member: []int{theHolder, thePassive, thePassive, thePassive}[t.r.IntN(4)]},
		{
			kind:   t.one("mysqldKilled", "agentKilled", "nodeCrashed", "operatorCrashed", "cutPeer", "cutWhole", "podDeleted"),
			at:     t.at + t.in(0, 6*sec),
			member: []int{theHolder, thePassive}[t.r.IntN(2)],
			lasts:  t.in(1*sec, 4*sec),
		},
		{kind: "personReseeds", at: t.at + t.in(0, 8*sec), member: thePassive},
		{kind: t.crash, at: t.at, member: theHolder, after: onBoth, delay: t.in(0, 4*sec), lasts: 3 * sec},
	}
}

// staleSeed: a stale operator has a member copied that has come back meanwhile.
func staleSeed(t *teller) []fault {
	t.s.lossless = true
	t.s.twoOperators = true
	return []fault{
		{kind: "volumeLost", at: t.at, member: thePassive},
		{kind: "lateCommands", at: t.at, lasts: 20 * sec},
		{kind: t.crash, at: t.at, member: theHolder, after: onBoth, delay: t.in(0, 4*sec), lasts: 3 * sec},
	}
}

// candidateLost: the candidate is lost between revocation and promotion.
func candidateLost(t *teller) []fault {
	t.s.lossless = true
	return []fault{
		{kind: t.one("mysqldKilled", "cutWhole", "podDeleted"), at: t.at, member: theHolder, lasts: 6 * sec},
		{
			kind:   t.one("mysqldKilled", "agentKilled", "nodeCrashed"),
			at:     t.at,
			member: thePassive,
			after:  onRevoked,
			delay:  t.in(0, 300*ms),
			lasts:  2 * sec,
		},
	}
}

// lateAcknowledgement: an acknowledgement of the passive's former run arrives after its new
// run was compared.
func lateAcknowledgement(t *teller) []fault {
	t.s.lossless = true
	t.s.slowStream = 4 * sec
	t.s.lateAcks = 5 * sec
	t.s.lateAckP = 0.9
	t.s.passiveTimeout = 20 * sec
	t.s.applyTime = 3 * sec
	t.s.bootTime = 500 * ms
	t.s.crashAtFailpoint = 0
	t.s.lateMessages = 0
	t.s.ackLeast = 3 * sec
	t.s.relayLost = 1
	return []fault{
		{kind: "nodeCrashed", at: t.at + 4*sec, member: thePassive, lasts: 200 * ms},
		{kind: "mysqldKilled", at: t.at + 4*sec, member: theHolder, after: onBoth, delay: t.in(sec, 3*sec)},
	}
}

// receivedByHalf: the primary ends while it sends a large transaction.
func receivedByHalf(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.passiveTimeout = 5 * sec
	t.s.gapMost = t.s.passiveTimeout + t.s.deadAfter + t.s.lease + t.s.margin + aSwitch
	kind := t.one("mysqldKilled", "nodeCrashed", "agentKilled", "personFails")
	return []fault{
		{kind: "largeTransaction", at: t.at, member: theHolder, lasts: t.in(sec, 4*sec)},
		{kind: kind, at: t.at + t.in(100*ms, 900*ms), member: theHolder, lasts: t.in(3*sec, 8*sec)},
	}
}

// cannotApply: the candidate cannot apply what it has received when the primary goes, and a
// person forces it, with or without the permission to discard.
func cannotApply(t *teller) []fault {
	t.s.lossless = true
	t.s.continueAlone = true
	gone := t.at + t.in(sec, 3*sec)
	stuck := fault{kind: "applierFailed", at: t.at, member: thePassive, lasts: t.in(5*sec, 40*sec)}
	if t.r.IntN(3) == 0 {
		t.s.applyTimeout = 3 * sec
		stuck = fault{kind: "longChange", at: t.at, member: theHolder, lasts: t.in(20*sec, 50*sec)}
	}
	faults := []fault{
		stuck,
		{kind: t.one("nodeCrashed", "podDeleted", "cutWhole"), at: gone, member: theHolder, lasts: t.in(8*sec, 18*sec)},
		{kind: t.one("personForces", "personDiscards", "personDiscards"), at: gone + t.in(sec, 6*sec), member: thePassive},
	}
	if t.r.IntN(3) == 0 {
		again := fault{
			kind:   t.one("agentKilled", "mysqldKilled", "operatorCrashed"),
			at:     gone,
			member: thePassive,
			after:  onDiscard,
			delay:  t.in(0, 200*ms),
		}
		faults = append(faults, again)
	}
	return faults
}

// candidateStuck: the candidate cannot apply what it has received, and the machine of the last
// primary stays away for longer than that is waited for.
func candidateStuck(t *teller) []fault {
	t.quiet()
	t.s.applyTimeout = 3 * sec
	stuck := fault{kind: "longChange", at: t.at, member: theHolder, lasts: t.in(20*sec, 30*sec)}
	if t.r.IntN(2) == 0 {
		stuck = fault{kind: "applierFailed", at: t.at, member: thePassive, after: onRevoked, lasts: t.in(20*sec, 30*sec)}
	}
	return []fault{
		stuck,
		{kind: "nodeCrashed", at: t.at + t.in(500*ms, 2*sec), member: theHolder, lasts: t.in(15*sec, 20*sec)},
	}
}
