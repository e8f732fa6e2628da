package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/gtid"
)

func mustParse(text string) gtid.Set { return gtid.MustParse(text) }

func (t txnInfo) gtid() gtid.GTID {
	return gtid.GTID{Server: gtid.ServerUUID(serverUUID(t.server)), Number: int64(t.number)}
}

// serves reports whether a client could be answered by this server right now.
func serves(s *mysqld) bool {
	return s != nil && s.open && s.up && !s.dead && s.gate.stopped == 0 && s.m.node.gate.stopped == 0
}

// excused: a machine that was stopped and resumed may answer for a moment before anything
// on it runs; nothing it answers then is an acknowledgement.
func (w *world) excused() bool {
	if w.vmPaused || w.set.ackFenced && w.set.lossless {
		return true
	}
	for _, m := range w.members {
		if m.node.gate.stopped > 0 || w.now-m.thawed < 50*time.Millisecond && m.thawed > 0 {
			return true
		}
	}
	return false
}

// opened checks everything that has to hold when a member begins to accept clients.
func (w *world) opened(s *mysqld, act authority.Open) {
	w.tracef("%s: OPEN at epoch %d, waiting %v", s.m.name, act.Epoch, act.Waiting)
	s.epoch, s.had = act.Epoch, s.data.inBinlog.clone()
	for _, a := range w.members[1-s.m.index].boxes {
		if serves(a.mysqld) && !w.excused() {
			w.violate("two open", "%s opens at epoch %d while %s is open at epoch %d", s.m.name, act.Epoch, a.m.name, a.mysqld.epoch)
		}
	}
	if who, ok := w.openAt[act.Epoch]; ok && who != s.m.name && !w.blind {
		w.violate("epochs", "%s and %s were open at epoch %d", who, s.m.name, act.Epoch)
	}
	w.openAt[act.Epoch] = s.m.name
	if act.Epoch > w.topEpoch || w.blind {
		// After a restore that nobody could see epochs begin anew: the newest is the one that
		// opened last.
		w.topEpoch, w.topMember, w.topHad = act.Epoch, s.m.index, s.had
	}
	if !w.promised() {
		return
	}
	if s.m.forced || w.blind {
		s.m.forced = false
		w.forgiveAllBut(s.m)
	}
	if t := w.must.missing(s.data.committed, w.forgave); t >= 0 {
		w.violate("lost", "%s opens at epoch %d without transaction %d (%s)", s.m.name, act.Epoch, t, w.txns[t].gtid())
	}
	for i, word := range s.data.committed {
		for len(w.must) <= i {
			w.must = append(w.must, 0)
		}
		w.must[i] |= word
	}
}

// visible: a reader of an open server can have seen this transaction.
func (w *world) visible(_ *mysqld, t int) {
	if w.promised() {
		w.must.add(t)
	}
}

// acked: a client got its answer.
func (w *world) acked(s *mysqld, t int) {
	w.acks++
	w.ackedAt = w.now
	// A write that the other one had before it opened may still be answered here.
	if w.topMember != s.m.index && s.epoch < w.topEpoch && (w.set.lossless || !w.set.asyncAny) && !w.topHad.has(t) {
		w.violate("two acknowledge", "%s acknowledges at epoch %d, %s was open at epoch %d", s.m.name, s.epoch, w.members[w.topMember].name, w.topEpoch)
	}
}

// checkRouting: no write of the Service leads to mysqld while another one can answer, nor
// before the deletion of the pod that it led to before was accepted. A store that was restored
// behind the back of everybody who knew better takes the memory of that with it.
func (w *world) checkRouting(p failover.PointService) {
	if led := w.api.led; led != nil && !w.blind && led != w.api.endpoint() && !led.deleting && slices.Contains(w.api.pods[:], led) {
		w.violate("routing", "the Service leads to %s at epoch %d, and pod %s/%s, to which it led before, was not deleted", p.Member, p.Epoch, led.member.name, led.uid)
	}
	for _, m := range w.members {
		for _, a := range m.boxes {
			if serves(a.mysqld) && m.name != p.Member && !w.excused() {
				w.violate("routing", "the Service leads to %s at epoch %d while %s is open", p.Member, p.Epoch, m.name)
			}
		}
	}
}

// checkLedger: a member that is about to count as in sync is closed, and has nothing that
// the primary's binlog has not.
func (w *world) checkLedger(r authority.Record) {
	if r.Ledger.State == authority.Solo || !w.promised() || w.restored {
		return
	}
	for i, m := range w.members {
		primary := w.members[1-i].vol.data
		if m.name == r.Holder.Member || w.members[1-i].name != r.Holder.Member || primary == nil {
			continue
		}
		for _, a := range m.boxes {
			if serves(a.mysqld) {
				w.violate("joined open", "the ledger becomes %s at epoch %d while %s is open at epoch %d", r.Ledger.State, r.Epoch, m.name, a.mysqld.epoch)
			}
		}
		if d := m.vol.data; d != nil && r.Ledger.State == authority.Both {
			if t := d.received().missing(primary.inBinlog); t >= 0 {
				w.violate("joined errant", "%s counts as in sync and has transaction %d, which the primary has not", m.name, t)
			}
		}
	}
}

// lostData: a member's data is given up. What must not be lost has to be elsewhere.
func (w *world) lostData(m *memberSim, d *dataset) {
	if d == nil || !w.set.lossless {
		return
	}
	other := w.members[1-m.index].vol.data
	var have bitset
	if other != nil {
		have = other.received()
	}
	gone := bitset{}
	for _, t := range d.binlog {
		if w.must.has(t) && !w.forgave.has(t) && !have.has(t) {
			gone.add(t)
		}
	}
	if t := gone.missing(); t >= 0 {
		w.violate("thrown away", "the data of %s is given up, and only it has transaction %d", m.name, t)
	}
}

// checkCut: what a rewind cut was acknowledged to nobody.
func (w *world) checkCut(m *memberSim, before []int) {
	if !w.set.lossless {
		return
	}
	// What a person's word gave up is kept all the same: nobody was asked for it.
	for _, t := range before {
		if !m.vol.data.inBinlog.has(t) && w.must.has(t) && !w.byForeign.has(t) {
			w.violate("thrown away", "the rewind of %s cuts transaction %d, which was acknowledged or seen", m.name, t)
		}
	}
}

// watch checks what has to hold at every instant: an open member was confirmed less than
// T ago, by its own clock.
func (w *world) watch() {
	w.after(100*time.Millisecond, w.watch)
	w.checkRefusal()
	for _, m := range w.members {
		for _, a := range m.boxes {
			s := a.mysqld
			if !serves(s) || a.machine == nil || w.now-m.thawed < 50*time.Millisecond && m.thawed > 0 {
				continue
			}
			v := a.machine.View()
			if a.local().Sub(v.ConfirmedAt) > w.set.lease+20*time.Millisecond {
				w.violate("isolated", "%s is open %s after its last confirmation", m.name, a.local().Sub(v.ConfirmedAt))
			}
		}
	}
}

// checkRefusal: a detached Service leads to a pod that refuses clients, as long as there
// is somebody who could lead them elsewhere. Nobody else takes a pod that is gone out of
// its endpoints.
func (w *world) checkRefusal() {
	answers := func(p *pod) bool { return p != nil && p.agent != nil && p.member.node.up }
	if w.api.service.Detached == "" || answers(w.api.behind()) || !w.couldLead(answers) {
		w.mute = w.now
		return
	}
	if w.now-w.mute > muteMost {
		w.violate("mute", "the Service is detached, and the pod %s that it leads to has been gone for %s", w.api.service.Detached, w.now-w.mute)
	}
}

// muteMost is what an operator may need to lead clients elsewhere: two requests in a row
// that get no answer, each after a look that an agent does not answer, two seconds each.
const muteMost = 8 * time.Second

// checkDoor: a look that finds the Service detached from a pod that has been gone for a
// while, and nobody the holder, leads clients to a door, whatever else it finds to do.
func (w *world) checkDoor(obs failover.Observation, plan failover.Plan) {
	s := obs.Service
	elsewhere := false
	for _, m := range obs.Members {
		if m.Pod.UID == s.Detached && m.Reach == failover.Answered {
			return
		}
		elsewhere = elsewhere || m.Pod.IP != "" && m.Pod.UID != s.Detached
	}
	switch plan.Rule {
	case failover.RuleOperationRefused, failover.RuleOperationFinished, failover.RuleLookAgain, failover.RuleAuthorityUnreadable, failover.RuleAdoptByPerson:
		return
	}
	rec := obs.Authority.Record
	if s.Detached == "" || !elsewhere || obs.Authority.Reading != failover.Read || !rec.Holder.Nobody() || plan.Kind == failover.Doubts && len(plan.Steps) == 0 {
		return
	}
	if gone := w.now - w.mute; gone > noticed && !points(plan.Steps) {
		w.violate("mute", "rule %s finds the Service detached from a pod that has been gone for %s, and leaves it", plan.Rule, gone)
	}
}

// noticed is when an operator has noticed that an agent has gone.
const noticed = time.Second

func points(steps []failover.Step) bool {
	if len(steps) == 0 {
		return false
	}
	if t, ok := steps[0].(failover.Together); ok {
		return slices.ContainsFunc(t.Steps, func(s failover.Step) bool { return s.Name() == failover.StepPointService })
	}
	return steps[0].Name() == failover.StepPointService
}

// couldLead: some pod answers, and an operator is there and can reach the API server and
// sees no doubt.
func (w *world) couldLead(answers func(*pod) bool) bool {
	if !answers(w.api.pods[0]) && !answers(w.api.pods[1]) || w.api.gate.stopped > 0 {
		return false
	}
	for _, o := range w.ops {
		cut := w.cut[o.site][siteAPI] > 0 || w.cut[siteAPI][o.site] > 0
		unable := o.plan.Kind == failover.Doubts || o.plan.Rule == failover.RuleAuthorityUnreadable || o.plan.Rule == failover.RuleLookAgain
		if o.leads && !cut && !unable && o.gate.stopped == 0 {
			return true
		}
	}
	return false
}

// alive: after the faults the pair accepts writes, or says what it doubts.
func (w *world) alive() {
	if w.violation != "" || w.now-w.ackedAt < 12*time.Second {
		return
	}
	for _, o := range w.ops {
		if !o.leads {
			continue
		}
		if o.plan.Rule == failover.RuleAuthorityUnreadable || o.plan.Rule == failover.RuleLookAgain {
			o.plan = o.former
		}
		for _, n := range append([]failover.Note{{Rule: o.plan.Rule, Kind: o.plan.Kind, Fact: o.plan.Fact, Verb: o.plan.Verb}}, o.plan.Notes...) {
			switch {
			case n.Kind == failover.Doubts:
				w.wedged(n)
				return
			case n.Rule == failover.RuleWritesBlocked, n.Rule == failover.RuleFailoverDue:
				return
			}
		}
	}
	var says string
	for _, o := range w.ops {
		if o.leads {
			says += " | " + string(o.plan.Rule) + ": " + o.plan.Fact
			for _, n := range o.plan.Notes {
				says += "; " + string(n.Rule) + ": " + n.Fact
			}
		}
	}
	w.violate("stuck", "no write was acknowledged since %.1fs%s", w.ackedAt.Seconds(), says)
}

// untold says what the records of operations lack about how the present primary was
// appointed; empty when there is a finished one, with its proof.
func (w *world) untold() string {
	r := w.api.lease
	if r == nil || r.Appointed == nil || r.LastHolder == nil || r.Appointed.Operation == "" {
		return ""
	}
	for _, o := range w.api.opsList {
		if o.Name != r.Appointed.Operation {
			continue
		}
		if o.operator && (o.Phase == "" || o.Phase == failover.OperationRunning || o.Phase == failover.OperationSucceeded && o.Proof == "") {
			return fmt.Sprintf("operation %s is %s with proof %q", o.Name, o.Phase, o.Proof)
		}
		return ""
	}
	return fmt.Sprintf("%s was appointed at epoch %d in operation %s, of which there is no record", r.Holder, r.Epoch, r.Appointed.Operation)
}

// told: a failover has a finished record once the operator has come to rest.
func (w *world) told() {
	if why := w.untold(); why != "" && w.violation == "" && w.settled() {
		w.violate("untold", "%s", why)
	}
}

// wedged: a doubt although nothing was lost and everything is back is a dead end of the
// protocol, not an honest answer.
func (w *world) wedged(n failover.Note) {
	if !slices.Contains(failover.DoubtRules, n.Rule) || n.Verb == failover.VerbNone {
		w.violate("unnamed", "a doubt that has no page, or no verb that resolves it (%s): %s: %s", n.Verb, n.Rule, n.Fact)
	}
	// In Async a forced deletion takes the only proof along that counts there.
	terminated := !w.set.lossless && !w.set.asyncAny
	for _, f := range w.set.faults {
		switch f.kind {
		case "volumeLost", "strayLeft", "volumeEmptied", "nodeGone", "etcdRestored", "etcdRestoredBlind", "leaseRestored", "leaseDeleted", "leaseRewritten", "leaseEdited", "applierFailed", "personFences":
			return
		case "podForceDeleted":
			if terminated {
				return
			}
		}
	}
	switch n.Rule {
	case failover.RuleNoTrustedCopy, failover.RuleBeginningStuck, failover.RuleAwaitingProof, failover.RuleAuthorityRolledBack, failover.RuleAuthorityChangedByOthers, failover.RuleAuthorityMissing:
		w.violate("wedged", "both members are back, and the pair is in doubt: %s: %s", n.Rule, n.Fact)
	}
}
