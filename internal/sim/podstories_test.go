package sim

import "time"

// podStories are about the end of pods as Kubernetes shows it.
var podStories = []story{
	{name: "orderlyDeletion", tell: orderlyDeletion},
	{name: "orderlyTermination", tell: orderlyTermination},
	{name: "endedByKubelet", tell: endedByKubelet},
	{name: "nodeReplaced", tell: nodeReplaced},
	{name: "bothPodsGone", tell: bothPodsGone},
}

// quiet takes all weather away, so that nothing but the event itself can cost time.
func (t *teller) quiet() {
	s := t.s
	s.lossless = true
	s.continueAlone = true
	s.automatic = true
	s.twoOperators = false
	s.crashAtFailpoint = 0
	s.lateMessages = 0
	s.lateReads = 0
	s.lostAcks = 0
	s.lateAckP = 0
	s.replayedWords = 0
	s.slowStream = 0
	s.statusLost = 0
	s.applyTime = 3 * ms
	s.maxPerHour = 20
}

// orderlyDeletion: the pod of the primary of a healthy pair is deleted or evicted.
func orderlyDeletion(t *teller) []fault {
	t.quiet()
	t.s.orderly = true
	t.s.gapMost = orderlyMost
	t.s.stopTime = 3 * sec
	return []fault{{kind: t.one("podDeleted", "podEvicted"), at: t.at, member: theHolder}}
}

// orderlyTermination: the primary of a healthy pair gets SIGTERM, and its pod is not being deleted.
func orderlyTermination(t *teller) []fault {
	t.quiet()
	t.s.orderly = true
	t.s.gapMost = orderlyMost
	kind := t.one("podEndedByKubelet", "nodeShutDown", "containerTerminated")
	return []fault{{kind: kind, at: t.at, member: theHolder, grace: t.in(8*sec, 12*sec), lasts: t.in(4*sec, 10*sec)}}
}

// endedByKubelet: a pod ends before it is deleted, while the pair is in some trouble already.
func endedByKubelet(t *teller) []fault {
	t.s.lossless = true
	t.s.statusLost = []float64{0, 0, 1}[t.r.IntN(3)]
	kind := t.one("podEndedByKubelet", "nodeShutDown")
	ends := fault{kind: kind, at: t.at + 8*sec, member: theHolder, grace: t.in(500*ms, 6*sec), lasts: t.in(2*sec, 8*sec)}
	switch t.r.IntN(3) {
	case 0: // alone by then
		return []fault{{kind: "nodeCrashed", at: t.at, member: thePassive, lasts: 14 * sec}, ends}
	case 1: // and the candidate goes as well
		lost := fault{kind: "mysqldKilled", at: t.at, member: thePassive, after: onRevoked, delay: t.in(0, sec)}
		return []fault{ends, lost}
	}
	return []fault{ends}
}

// bothPodsGone: both pods are deleted, at once or one soon after the other, by force or not. The
// pair begins again in the next ones.
func bothPodsGone(t *teller) []fault {
	t.quiet()
	t.s.whole = true
	kind := t.one("podDeleted", "podForceDeleted")
	first := fault{kind: t.one(kind, "mysqldKilled"), at: t.at, member: theHolder}
	return []fault{
		first,
		{kind: kind, at: t.at + t.in(0, 2*sec), member: 0},
		{kind: kind, at: t.at + t.in(0, 2*sec), member: 1},
	}
}

// nodeReplaced: the node of a solo primary is lost, and an admin marks it as out of service.
// Its volume can be attached elsewhere, and nothing of it is lost.
func nodeReplaced(t *teller) []fault {
	t.s.lossless = true
	t.s.continueAlone = true
	out := []fault{{kind: "nodeReplaced", at: t.at + 8*sec, member: theHolder, lasts: t.in(sec, 8*sec)}}
	if t.r.IntN(3) > 0 {
		out = append(out, fault{kind: "nodeCrashed", at: t.at, member: thePassive, lasts: t.in(12*sec, time.Minute)})
	}
	return out
}
