package failover

import (
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// bootstrapMember lets member 0 initialize its volume once no volume can hold data:
// every agent says so, or the volume was made for this very pair.
func bootstrapMember(l *look) (Plan, bool) {
	first := &l.Members[0]
	if l.rec.Bootstrap != nil || len(l.rec.Data) > 0 || l.FreshID == "" {
		return no()
	}
	if !first.heard() || first.State.Phase != agentapi.PhaseEmpty {
		return no()
	}
	if second := &l.Members[1]; !emptyFor(second) {
		return no()
	}
	return act("both volumes are empty", l.change(authority.StartBootstrap{Member: first.Name, DataID: pair.DataID(l.FreshID)}))
}

func emptyFor(m *Member) bool {
	if m.heard() {
		return m.State.Phase == agentapi.PhaseEmpty
	}
	return m.MadeForPair == Yes
}

func awaitMembers(l *look) (Plan, bool) {
	for i := range l.Members {
		m := &l.Members[i]
		switch {
		case m.heard() && m.State.Phase == agentapi.PhaseEmpty, !m.heard() && i == 1 && m.MadeForPair == Yes:
			continue
		case m.heard() && len(m.State.Problems) > 0:
			return hold(VerbNone, "%s: %s", m.Name, m.State.Problems[0].Message)
		case m.heard():
			return wait("%s is %s", m.Name, m.State.Phase)
		case m.Pod.Problem != "":
			return wait("the pod of %s does not run: %s", m.Name, m.Pod.Problem)
		}
		return wait("%s", m.Silence())
	}
	return wait("the members have answered")
}

// initializeMember repeats the command until the agent says that it works on it.
func initializeMember(l *look) (Plan, bool) {
	b := l.rec.Bootstrap
	if b == nil {
		return no()
	}
	m := l.member(b.Member)
	switch {
	case m == nil:
		return no() // BootstrapStalled
	case !m.heard():
		return wait("%s may initialize its volume; its agent does not answer (%s) %s", m.Name, m.Reach, m.Pod.Problem)
	case m.State.Phase == agentapi.PhaseEmpty:
		return act("the volume of "+string(m.Name)+" is empty", Initialize{Member: m.Name, DataID: b.DataID})
	case m.State.Phase == agentapi.PhaseFailed && len(m.State.Problems) > 0:
		return hold(VerbNone, "%s: %s", m.Name, m.State.Problems[0].Message)
	case m.State.Seed != nil:
		return wait("%s copies %s (%s)", m.Name, m.State.Seed.Donor, m.State.Seed.Stage)
	}
	return wait("%s is %s", m.Name, m.State.Phase)
}

func nameInitialData(l *look) (Plan, bool) {
	b := l.rec.Bootstrap
	if b == nil {
		return no()
	}
	m := l.member(b.Member)
	if m == nil || !m.heard() || m.State.DataID != b.DataID {
		return no()
	}
	switch m.State.Phase {
	case agentapi.PhaseClosed, agentapi.PhaseRecovering, agentapi.PhaseHeld:
		return act(string(m.Name)+" has initialized its volume", l.change(authority.NameData{Member: m.Name, DataID: b.DataID}))
	case agentapi.PhaseStarting, agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseEmpty,
		agentapi.PhaseInitializing, agentapi.PhaseSeeding, agentapi.PhaseVoid, agentapi.PhaseOpening,
		agentapi.PhaseOpen, agentapi.PhaseClosing, agentapi.PhaseFailed, agentapi.PhaseVolumeLost:
	}
	return no()
}

// appointFirst makes the member with the first data the first primary. No one else ever
// held this authority, which is the proof for the other one.
func appointFirst(l *look) (Plan, bool) {
	if len(l.rec.Data) != 1 || l.rec.Bootstrap != nil {
		return no()
	}
	var m *Member
	for name := range l.rec.Data {
		m = l.member(name)
	}
	switch {
	case m == nil, l.lostData(m):
		return no() // BootstrapStalled
	case m.heard() && m.State.Phase == agentapi.PhaseFailed && len(m.State.Problems) > 0:
		return hold(VerbNone, "%s: %s", m.Name, m.State.Problems[0].Message)
	case m.Pod.Deleting || !m.heard() || !l.hasData(m) || m.State.Phase != agentapi.PhaseClosed || !m.State.Mysqld.Running:
		return wait("%s has its data and is not ready to open", m.Name)
	case !m.Pod.Fenced:
		return act(string(m.Name)+" is about to be the primary", AddFinalizer{Subject: m.subject()})
	}
	other := l.other(m.Name).subject()
	proof, err := fencing.FromBeginning(other, l.e, l.rec.Data[other.Member])
	if err != nil {
		return doubt(VerbNone, "%v", err)
	}
	appoint := l.change(authority.Appoint{
		To:          pair.Holder(m.subject()),
		Grounds:     authority.GroundsFirst,
		Others:      []fencing.Subject{other},
		Proofs:      []fencing.Proof{proof},
		Incarnation: m.State.Mysqld.Incarnation,
		Lease:       l.Settings.LeaseDuration,
	})
	return act(string(m.Name)+" holds the pair's first data", InOrder{Steps: []Step{appoint, ReadLease{Member: m.Name}}})
}
