package failover

import (
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// course is one way to a new holder.
type course struct {
	to      *Member
	grounds authority.Grounds
	// ackFence: to must have stopped receiving and applied everything first.
	ackFence bool
	// discards is the operation that allows to discard what to cannot apply; empty for none.
	discards string
	// planned: the former primary is well, and can go on if this course fails.
	planned bool
	// demoted is the run of the former primary's mysqld that stays as the passive; empty
	// when its pod goes.
	demoted pair.Incarnation
	fact    string
}

// doorTo are the steps that every course begins with: the Service to the door of the
// member that is meant.
func (l *look) doorTo(m *Member) []Step {
	if step, ok := l.pointTo(m, LeadsDoor); ok {
		return []Step{step}
	}
	return nil
}

// pursue gives the next steps of a course: first everything that can go on at once,
// then the appointment.
func (l *look) pursue(c course) Plan {
	g := l.gather(c)
	away := l.leadAway(c)
	if len(g.missing) == 0 && l.prepared(c) {
		return l.appointment(c, g, away)
	}
	var end []Step
	if len(g.missing) > 0 && !c.planned {
		// The end of that pod may be the proof that is missing. Otherwise it is deleted beside
		// the appointment, which does not wait for it.
		end = l.deleteStanding(c.to)
	}
	steps := distinct(slices.Concat(l.prepare(c), l.discardStep(c), end, g.steps, away))
	p := Plan{
		Kind:      Acts,
		Fact:      c.fact,
		Steps:     together(steps),
		Missing:   g.missing,
		After:     l.nextDue(c, g.after),
		Operation: l.courseNote(c),
	}
	if len(p.Steps) == 0 {
		p.Kind = Waits
		p.Fact = c.fact + l.waitsFor(c, g)
	}
	return p
}

// nextDue is in what time the first thing is due that a course waits for: an expiry, the end
// of the rejection window, or the end of the patience with a member; zero when nothing is.
func (l *look) nextDue(c course, expiry time.Duration) time.Duration {
	dues := []time.Duration{expiry, l.rejectionWindow(), l.applyPatience(c)}
	if c.ackFence && l.tailComes(c.to) {
		dues = append(dues, l.tailPatience())
	}
	var next time.Duration
	for _, due := range dues {
		if due > 0 && (next == 0 || due < next) {
			next = due
		}
	}
	return next
}

// appointment is the end of a course: every proof is there and the member is prepared. An
// observation is due at once after it, and until then nothing cuts the write short.
func (l *look) appointment(c course, g gathered, away []Step) Plan {
	p := Plan{
		Kind:      Acts,
		Fact:      c.fact,
		Steps:     append(l.appoint(c, g.proofs), away...),
		Operation: l.courseNote(c),
	}
	p.Operation.Epoch = l.e
	p.Operation.Proof = proofNoted(g.proofs, l.rec)
	if s := c.to.State.Server; s != nil {
		p.Operation.GTIDs.Promoted = s.GTIDExecuted
	}
	return p
}

// distinct drops a question that is asked twice. A cease stays beside a fence and an ack
// fence of the same member, though they contain it: those are answered once mysqld or its
// receiver has stopped, which takes seconds when the source is cut off, and the old
// authority runs out from the moment the cease is acknowledged.
func distinct(steps []Step) []Step {
	asked := map[Cease]bool{}
	return slices.DeleteFunc(steps, func(step Step) bool {
		s, ok := step.(Cease)
		if !ok {
			return false
		}
		again := asked[s]
		asked[s] = true
		return again
	})
}

func proofNoted(proofs []fencing.Proof, rec authority.Record) fencing.Kind {
	if rec.LastHolder != nil {
		for _, p := range append(slices.Clone(proofs), rec.EndProof()) {
			if p.Closes(fencing.SubjectOf(rec.LastHolder.Holder), rec.Epoch) {
				return p.Kind()
			}
		}
	}
	if len(proofs) > 0 {
		return proofs[0].Kind()
	}
	return ""
}

func (l *look) waitsFor(c course, g gathered) string {
	switch {
	case len(g.missing) > 0 && g.after > 0:
		return fmt.Sprintf("; its authority runs out in %s", g.after.Round(time.Millisecond))
	case len(g.missing) > 0:
		return fmt.Sprintf("; waits for proof that %v accepts no writes", g.missing)
	case c.ackFence && l.tailComes(c.to):
		return fmt.Sprintf("; waits for %s to receive what %s has acknowledged", c.to.Name, l.last.Name)
	}
	return fmt.Sprintf("; waits for %s to apply what it has received", c.to.Name)
}

// overdue: what comes by itself should have come by now.
func (l *look) overdue() bool {
	return l.sinceAwake() > l.rec.LeaseDuration+l.margin()+l.Settings.DeadAfter
}

func (l *look) courseNote(c course) *OperationNote {
	name := l.ownOperation(l.e)
	if l.rec.Intent != nil && l.rec.Intent.Operation != "" {
		name = l.rec.Intent.Operation
	}
	n := &OperationNote{
		Name:      name,
		Discarded: discarded(c.to, c.discards),
		Verb:      VerbFailover,
		Phase:     pair.OperationRunning,
		Epoch:     l.e,
		To:        c.to.Name,
		Message:   c.fact,
		GTIDs:     l.gtids(c),
	}
	if l.rec.Intent != nil {
		n.Rule = RuleName(l.rec.Intent.Rule)
	}
	if l.last != nil {
		n.From = l.last.Name
	}
	n.OnlyUpdate = l.revokedToHibernate() // no member takes over
	if n.Rule == RuleSwitchover {
		n.Verb = VerbSwitchover
	}
	if n.Rule == RuleFenceRequested {
		// A fence leads to nobody; that someone is appointed after it is its release.
		n.Verb = VerbFence
		n.To = ""
		n.Message = fmt.Sprintf("is being released: %s goes on", c.to.Name)
	}
	return n
}

// gtids are what can be said now about what the members have.
func (l *look) gtids(c course) GTIDs {
	var g GTIDs
	stopped := c.to.heardMysqld() && c.to.State.ReceiverStoppedAt == l.e
	if stopped && c.to != l.last {
		g.Received = c.to.State.Server.GTIDReceived
		g.Executed = c.to.State.Server.GTIDExecuted
	}
	if l.last != nil && l.last.State != nil && l.last.State.Server != nil {
		g.Former = l.last.State.Server.BinlogGTIDs
	}
	return g
}

// prepare are the things that have to be in place before the appointment, beside proofs.
func (l *look) prepare(c course) []Step {
	var steps []Step
	if c.ackFence && !l.tailComes(c.to) {
		_, ceased := l.Evidence.CeasedAt(c.to.Name, l.e)
		if !ceased || (c.to.heard() && c.to.State.ReceiverStoppedAt < l.e) {
			steps = append(steps, AckFence{
				Subject: c.to.subject(),
				About:   l.ackAbout(),
				Receive: l.toReceive(c),
			})
		}
	} else if _, ceased := l.Evidence.CeasedAt(c.to.Name, l.e); !ceased {
		steps = append(steps, Cease{Subject: c.to.subject()})
	}
	if !c.to.Pod.Fenced {
		steps = append(steps, AddFinalizer{Subject: c.to.subject()})
	}
	return steps
}

// tailComes reports whether the former primary still delivers commits that it acknowledged
// and the candidate lacks. In Async a commit waits for nobody, so that a receiver that is
// stopped at once loses the last ones of a primary that is well and was only asked to end.
// Where commits wait for the candidate, nothing acknowledged is missing there.
func (l *look) tailComes(to *Member) bool {
	from := l.last
	handedOver := from != nil && from != to
	commitsWait := l.Settings.Lossless && !l.switching()
	if !handedOver || commitsWait || l.tailPatience() <= 0 {
		return false
	}
	if !from.answersQueries() || !l.receives(to) {
		return false
	}
	if l.switching() {
		// What the candidate has to receive is known once the former primary is demoted.
		_, known := l.closedWith()
		return !known
	}
	closed := from.State.Server.SuperReadOnly && from.State.OpenEpoch == 0
	return !closed || !transactionsOf(to).Covers(parsed(from.State.Server.BinlogGTIDs))
}

// answersQueries: the member's agent answers, and its mysqld has told it how it is.
func (m *Member) answersQueries() bool {
	return m.heardMysqld() && m.State.Mysqld.Running
}

// receives: the candidate's receiver runs, and was not stopped for this epoch.
func (l *look) receives(to *Member) bool {
	running := to.heardMysqld() && to.State.Server.Receiver.Running
	return running && to.State.ReceiverStoppedAt < l.e
}

// tailPatience is for how long a former primary that answers may still deliver.
func (l *look) tailPatience() time.Duration { return l.Settings.DeadAfter - l.sinceEpoch() }

// ackAbout is whose acknowledgements end with the candidate's receiver.
func (l *look) ackAbout() []fencing.Subject {
	if !l.Settings.Lossless || !l.Settings.PromoteOnAckFenced || l.rec.Ledger.State != authority.Both {
		return nil
	}
	return []fencing.Subject{fencing.SubjectOf(l.rec.LastHolder.Holder)}
}

func (l *look) prepared(c course) bool {
	if s, stands := l.standing(c.to); stands && l.leadsTo(l.member(s.Member)) {
		return false
	}
	if !c.to.heard() || !c.to.Pod.Fenced {
		return false
	}
	if _, ceased := l.Evidence.CeasedAt(c.to.Name, l.e); !ceased {
		return false
	}
	if !c.ackFence {
		return true
	}
	return c.to.State.ReceiverStoppedAt == l.e && c.to.State.AppliedAll
}

// appoint is the appointment, and then what need not wait for its effect: the member is asked
// to read it now and is labeled while it opens; and the pod that the Service led to before is
// deleted, which only the Service waits for. The deletion follows the write of the authority:
// an operator whose view is old, so that its write is refused, must delete nothing.
func (l *look) appoint(c course, proofs []fencing.Proof) []Step {
	change := l.change(authority.Appoint{
		To:                pair.Holder(c.to.subject()),
		Grounds:           c.grounds,
		Others:            l.othersOf(c.to),
		Proofs:            proofs,
		Incarnation:       c.to.State.Mysqld.Incarnation,
		AckFencedIsEnough: l.Settings.Lossless && l.Settings.PromoteOnAckFenced,
		Lease:             l.Settings.LeaseDuration,
		Demoted:           c.demoted,
	})
	then := []Step{ReadLease{Member: c.to.Name}}
	if c.demoted != "" {
		// It follows the new primary, which waits for it.
		then = append(then, ReadLease{Member: l.last.Name})
	}
	if l.mayLabelAhead(c.to) {
		then = append(then, c.to.label(l.e+1))
	}
	if c.demoted == "" {
		then = append(then, l.clearTheWay(c.to)...)
	} else if l.holdsAt(c.to) {
		// The former pod stays: nothing has to go before clients are let through.
		then = append(then, ReleaseHeld{Subject: c.to.subject()})
	}
	return []Step{InOrder{Steps: append([]Step{change}, together(then)...)}}
}

// othersOf are the pods, beside the last holder's, that could hold an older authority: the
// other member's, or that member as such.
func (l *look) othersOf(to *Member) []fencing.Subject {
	return []fencing.Subject{l.other(to.Name).subject()}
}
