package sim

import (
	"math/rand/v2"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

// modeChange sets spec.durability.mode to Async for a while. The files that agents mount
// follow late, in both directions and at each member for itself.
func (w *world) modeChange(lasts time.Duration) {
	set := func(async bool) {
		w.tracef("durability.mode is Async: %v", async)
		w.async = async
		if async {
			w.forgiveAllBut(w.members[0])
			w.forgiveAllBut(w.members[1])
		}
		for _, m := range w.members {
			w.after(w.between(0, kubeletLag), func() { m.mount(w.async) })
		}
	}
	set(true)
	w.after(lasts, func() { set(false) })
}

// kubeletLag is how late a file that was mounted from a ConfigMap can be; shorter than a
// real kubelet's minute, so that it fits into a run.
const kubeletLag = 6 * time.Second

// mount is a change of the file that this member's agent mounts.
func (m *memberSim) mount(async bool) {
	m.fileAsync = async
	for _, a := range m.boxes {
		a.pass(a.reconfigure)
	}
}

// reconfigure is the agent that takes up what the mounted file says.
func (a *agentSim) reconfigure() {
	a.step(authority.Reconfigured{At: a.local(), RestartInPlaceAfter: a.w.set.restartInPlace})
}

// wanted are the settings as the spec has them now.
func (w *world) wanted() failover.Settings {
	s := w.set.settings()
	s.Lossless = s.Lossless && !w.async
	return s
}

// promised: what is acknowledged now must not be lost. While the mode is Async, or an
// operator still goes by an observation of that time, it may be.
func (w *world) promised() bool {
	if !w.set.lossless || w.async {
		return false
	}
	for _, o := range w.ops {
		if o.leads && o.seen.Settings.Name != "" && !o.seen.Settings.Lossless {
			return false
		}
	}
	return true
}

// drawModeChanged: the mode goes to Async and back, or only a mounted file says so, and the
// primary is lost while its passive cannot receive.
func drawModeChanged(r *rand.Rand, s *scenario) []fault {
	in := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	s.lossless = true
	s.twoOperators = false
	s.crashAtFailpoint = 0
	s.lateMessages = 0
	s.lateReads = 0
	s.passiveTimeout = 8 * time.Second
	at := in(faultsBegin, faultsBegin+4*time.Second)
	change := fault{kind: "modeAsync", at: at, lasts: in(10*time.Millisecond, 6*time.Second)}
	if r.IntN(2) == 0 {
		change.kind = "fileAsync"
		change.member = theHolder
	}
	cut := at + in(100*time.Millisecond, 9*time.Second)
	crash := []string{"mysqldKilled", "nodeCrashed", "agentKilled"}[r.IntN(3)]
	return []fault{
		change,
		{kind: "cutPeer", at: cut, member: theHolder, lasts: in(4*time.Second, 6*time.Second)},
		{kind: crash, at: cut + in(300*time.Millisecond, 3*time.Second), member: theHolder, lasts: 3 * time.Second},
	}
}
