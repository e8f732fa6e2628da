package sim

// storeStories are about the objects in the API server and what an operator reads of them.
var storeStories = []story{
	{name: "writesRefused", tell: writesRefused},
	{name: "cachesStale", tell: cachesStale},
	{name: "podUnlabeled", tell: podUnlabeled},
	{name: "claimDeleted", tell: claimDeleted},
}

// writesRefused: a webhook, a quota or a missing right refuses writes of one kind, and then
// the passive is lost or the primary dies.
func writesRefused(t *teller) []fault {
	t.quiet()
	what := t.one("label", "finalizer", "service", "operation")
	refused := fault{kind: "writesRefused", at: t.at, what: what, lasts: 25 * sec}
	lost := fault{kind: "nodeCrashed", at: t.at + sec, member: thePassive, lasts: t.in(12*sec, 18*sec)}
	t.s.gapMost = t.s.passiveTimeout + t.s.deadAfter + aSwitch
	switch what {
	case "finalizer":
		return []fault{refused, {kind: "finalizerTaken", at: t.at + 500*ms, member: theHolder}, lost}
	case "service":
		return []fault{refused, {kind: "serviceEdited", at: t.at + 500*ms, member: thePassive}, lost}
	case "operation":
		t.s.gapMost = t.s.deadAfter + t.s.lease + t.s.margin + aSwitch
		return []fault{refused, {kind: t.one("mysqldKilled", "agentKilled"), at: t.at + sec, member: theHolder}}
	}
	return []fault{refused, lost}
}

// cachesStale: what an operator reads of pods and Service is older than the Lease.
func cachesStale(t *teller) []fault {
	event := fault{at: t.at + t.in(100*ms, 3*sec), member: theHolder - t.r.IntN(2), lasts: t.in(2*sec, 8*sec)}
	event.kind = t.one("mysqldKilled", "podDeleted", "nodeCrashed", "podForceDeleted", "cutWhole", "agentKilled")
	return []fault{{kind: "cachesStale", at: t.at, lasts: t.in(2*sec, 14*sec)}, event}
}

// podUnlabeled: the label by which caches select is taken off a pod of a healthy pair.
func podUnlabeled(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	t.s.gapMost = orderlyMost
	return []fault{{kind: "podUnlabeled", at: t.at, member: theHolder - t.r.IntN(2), lasts: t.in(sec, 20*sec)}}
}

// claimDeleted: the volume claim of a member is deleted, and later its pod, or the primary's.
func claimDeleted(t *teller) []fault {
	t.quiet()
	who := theHolder - t.r.IntN(2)
	claim := fault{kind: "claimDeleted", at: t.at, member: who}
	pod := fault{kind: t.one("podDeleted", "mysqldKilled", "podEvicted"), at: t.at + t.in(sec, 3*sec), member: theHolder}
	if t.r.IntN(2) == 0 {
		return []fault{claim, pod}
	}
	// The primary is alone by then.
	alone := fault{kind: "nodeCrashed", at: t.at, member: thePassive, lasts: t.in(10*sec, 18*sec)}
	claim.member = theHolder
	claim.at = t.at + 6*sec
	pod.at = t.at + 8*sec
	return []fault{alone, claim, pod}
}
