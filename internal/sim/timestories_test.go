package sim

// timeStories are about confirmations, clocks and who may still be open.
var timeStories = []story{
	{name: "hearsOnlyItsPeer", tell: hearsOnlyItsPeer},
	{name: "agentStandsStill", tell: agentStandsStill},
	{name: "strayVoucher", tell: strayVoucher},
	{name: "detachedVoucher", tell: detachedVoucher},
	{name: "slowToClose", tell: slowToClose},
}

// hearsOnlyItsPeer: a person fails over while the primary hears nobody but its peer.
func hearsOnlyItsPeer(t *teller) []fault {
	t.s.lossless, t.s.ackFenced, t.s.lateReads, t.s.crashAtFailpoint = true, t.r.IntN(2) == 0, 0.2, 0
	out := []fault{
		{kind: "cutAllButPeer", at: t.at, member: theHolder, after: onRevoked, delay: -1, lasts: t.in(6*sec, 16*sec)},
		{kind: "personFails", at: t.at},
	}
	switch t.r.IntN(4) {
	case 0: // confirmations of the peer that were given before it ceased come late
		out[0].kind, t.s.lateWords, t.s.ackFenced, t.s.replayedWords = "cutWhole", 0.5, false, 0.5*float64(t.r.IntN(2))
	case 2, 3: // and readings of the authority from before it was revoked
		t.s.lateReads = 0.8
		t.s.passiveTimeout = 8 * sec
		t.s.ackFenced = false
		t.longLease()
		out[1].at = t.at + 4*sec
		out = append(out, fault{kind: "cutPeer", at: t.at, member: theHolder, lasts: 14 * sec})
	case 1: // the candidate forgets that it ceased
		t.s.lossless = false
		t.s.asyncAny = true
		out = append(out,
			fault{kind: "agentKilled", at: t.at, member: thePassive, after: onRevoked, delay: t.in(20*ms, 400*ms)},
			fault{kind: "cutAPI", at: t.at, member: thePassive, after: onRevoked, lasts: t.s.lease + t.in(0, 2*sec)})
	}
	return out
}

// strayVoucher: the passive's pod and volume are given up, and its former process lives on
// beside the primary.
func strayVoucher(t *teller) []fault {
	t.s.lossless = true
	t.s.automatic = true
	t.s.crashAtFailpoint = 0
	return []fault{
		{kind: "strayLeft", at: t.at, member: thePassive},
		{kind: "cutWhole", at: t.at, member: theHolder, after: onBoth, delay: t.in(0, 2*sec), lasts: 10 * sec},
	}
}

// detachedVoucher: the passive goes on with its volume in another place, and the primary's
// questions still reach the process that had the volume before.
func detachedVoucher(t *teller) []fault {
	t.s.lossless = true
	t.s.automatic = true
	t.s.crashAtFailpoint = 0
	return []fault{
		{kind: "volumeDetached", at: t.at, member: thePassive},
		{kind: "cutWhole", at: t.at, member: theHolder, after: onBoth, delay: t.in(0, 2*sec), lasts: 10 * sec},
	}
}

// slowToClose: the former primary is slow to close, and an operator that could not reach it
// has appointed its successor.
func slowToClose(t *teller) []fault {
	t.s.lossless = true
	t.s.ackFenced = true
	t.s.crashAtFailpoint = 0
	t.s.slowClose = 2 * sec
	t.longLease()
	// Nobody writes: a commit that it does not get through would tell the two apart.
	return []fault{
		{kind: "clientsRest", at: t.at, lasts: t.in(4*sec, 8*sec)},
		{kind: "personFails", at: t.at + t.in(0, 2*sec)},
		{kind: "cutOperator", at: t.at, member: theHolder, after: onRevoked, lasts: t.in(100*ms, 2*sec)},
	}
}

// agentStandsStill: the primary's agent is stopped, or a machine, and its clock is what
// counts; or its pod is deleted by force while nobody hears of it.
func agentStandsStill(t *teller) []fault {
	t.s.drift = 0.05
	if t.r.IntN(4) == 0 {
		return []fault{
			{kind: "cutAllButPeer", at: t.at, member: theHolder, lasts: t.in(5*sec, 14*sec)},
			{kind: "podForceDeleted", at: t.at + t.in(0, sec), member: theHolder},
		}
	}
	return []fault{
		{
			kind:   t.one("agentStopped", "nodeFrozen", "cutWhole", "machinePaused"),
			at:     t.at,
			member: theHolder,
			lasts:  t.in(5*sec, 14*sec),
		},
		{kind: "personFails", at: t.at + t.in(0, sec)},
	}
}
