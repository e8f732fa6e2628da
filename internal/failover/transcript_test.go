package failover_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// play has Decide tell a history: every step that it asks for succeeds at once, and what
// happens beside that is written into the script.
type play struct {
	t    *testing.T
	o    failover.Observation
	asks int
	out  strings.Builder
}

func begin(t *testing.T, o failover.Observation) *play {
	t.Helper()
	o.History.Holder, o.History.HolderEpoch = o.Authority.Record.Holder, o.Authority.Record.Epoch
	return &play{t: t, o: o}
}

// mostSteps bounds what follows from one event.
const mostSteps = 12

// event happens, and Decide is asked until it has nothing new to do.
func (p *play) event(what string, happens func(o *failover.Observation)) {
	fmt.Fprintf(&p.out, "# %s\n", what)
	happens(&p.o)
	former := ""
	for range mostSteps {
		p.o.Now = p.o.Now.Add(50 * time.Millisecond)
		p.hear()
		p.o.History = p.o.History.Next(p.o)
		plan := failover.Decide(p.o)
		fmt.Fprintf(&p.out, "%s (%s): %s\n", plan.Rule, plan.Kind, plan.Fact)
		for _, n := range plan.Notes {
			if n.Kind == failover.Doubts {
				fmt.Fprintf(&p.out, "    in doubt: %s: %s\n", n.Rule, n.Fact)
			}
		}
		for _, command := range plan.Remedy.Commands("ns", "shop") {
			fmt.Fprintf(&p.out, "    %s\n", command)
		}
		if len(plan.Steps) == 0 {
			break
		}
		fmt.Fprintf(&p.out, "    -> %s\n", join(stepNames(plan.Steps[:1])))
		out := failover.Outcome{}
		p.effect(plan.Steps[0], &out)
		p.o.History = p.o.History.After(p.o, plan, out)
		does := fmt.Sprint(plan.Rule, stepNames(plan.Steps[:1]))
		if does == former {
			break
		}
		former = does
	}
	p.out.WriteString("\n")
}

func join(names []failover.StepName) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, string(n))
	}
	return strings.Join(parts, ", ")
}

// hear has every agent that answers answer now.
func (p *play) hear() {
	p.o.Authority.AskedAt = p.o.Now
	for i := range p.o.Members {
		if m := &p.o.Members[i]; m.Reach == failover.Answered {
			m.HeardAt, m.SilentSince = p.o.Now.Add(-time.Millisecond), p.o.Now.Add(-time.Millisecond)
		}
	}
}

func (p *play) member(name pair.MemberName) *failover.Member {
	if p.o.Members[1].Name == name {
		return &p.o.Members[1]
	}
	return &p.o.Members[0]
}

func (p *play) wrote(r authority.Record, out *failover.Outcome) {
	p.asks++
	p.o.Authority.Reading = failover.Read
	p.o.Authority.Record = r
	p.o.Authority.Version = fmt.Sprint(100 + p.asks)
	p.o.Evidence.SawEpoch(r.Epoch, p.o.Now)
	out.Wrote = &r
}

// effect is what a step does when all goes well.
func (p *play) effect(step failover.Step, out *failover.Outcome) {
	switch s := step.(type) {
	case failover.Together:
		for _, part := range s.Steps {
			p.effect(part, out)
		}
	case failover.InOrder:
		for _, part := range s.Steps {
			p.effect(part, out)
		}
	case failover.CreateAuthority:
		p.wrote(s.Record, out)
	case failover.ChangeAuthority:
		r, err := s.Change.Apply(s.From)
		if err != nil {
			p.t.Fatal(err)
		}
		p.wrote(r, out)
	case failover.BeginJoining:
		p.effect(failover.ChangeAuthority{From: s.From, Change: authority.BeginJoining{First: s.Primary.Member, Joining: s.Passive.Member}}, out)
	case failover.ConcludeJoining:
		p.effect(failover.ChangeAuthority{From: s.From, Change: authority.ConcludeBoth{
			First:   s.Primary.Member,
			Joined:  s.Passive.Member,
			Version: s.From.Ledger.Version,
			Incarnations: map[pair.MemberName]pair.Incarnation{
				m0: p.o.Members[0].State.Mysqld.Incarnation, m1: p.o.Members[1].State.Mysqld.Incarnation,
			},
		}}, out)
	default:
		p.effectAtMember(step)
	}
}

func (p *play) effectAtMember(step failover.Step) {
	switch s := step.(type) {
	case failover.ReadLease:
		st := p.member(s.Member).State
		st.KnownEpoch = p.o.Authority.Record.Epoch
		st.ActedLedger = p.o.Authority.Record.Ledger.Version
		if st.Server != nil {
			st.Server.Waiting = p.o.Authority.Record.Ledger.MustWait(s.Member)
		}
	case failover.Fence:
		p.closes(s.Subject)
	case failover.Cease:
		p.closes(s.Subject)
	case failover.AckFence:
		st := p.member(s.Subject.Member).State
		st.ReceiverStoppedAt = p.o.Authority.Record.Epoch
		st.AppliedAll = true
		p.closes(s.Subject)
	case failover.Drain:
		p.member(s.Subject.Member).State.Drain = &agentapi.Drain{
			Operation: s.Operation,
			Left:      s.For,
			Rounds:    1,
			InFlight:  1,
		}
		if s.For == 0 {
			p.member(s.Subject.Member).State.Drain = nil
		}
	case failover.Initialize:
		st := p.member(s.Member).State
		st.Phase = agentapi.PhaseInitializing
		st.DataID = s.DataID
	case failover.Seed:
		st := p.member(s.Member).State
		st.Phase = agentapi.PhaseSeeding
		st.DataID = s.DataID
	case failover.Rewind:
		p.member(s.Member).State.Phase = agentapi.PhaseRecovering
	case failover.DeletePod:
		p.member(s.Subject.Member).Pod.Deleting = true
	case failover.AddFinalizer:
		p.member(s.Subject.Member).Pod.Fenced = true
	case failover.RemoveFinalizer:
		p.member(s.Subject.Member).Pod.Fenced = false
	case failover.LabelPod:
		pod := &p.member(s.Subject.Member).Pod
		pod.Labels = maps.Clone(pod.Labels)
		maps.Copy(pod.Labels, s.Set)
		for _, key := range s.Remove {
			delete(pod.Labels, key)
		}
	case failover.PointService:
		p.o.Service = failover.Service{
			Reading:   failover.Read,
			Version:   "9",
			Epoch:     -1,
			Leads:     s.Leads,
			PortLeads: s.Leads,
			Member:    s.Member,
		}
		if s.Leads == failover.LeadsOpen {
			p.o.Service.Epoch = s.Epoch
		}
	case failover.DetachService:
		p.o.Service = failover.Service{
			Reading:  failover.Read,
			Version:  "9",
			Epoch:    -1,
			Detached: s.From.PodUID,
		}
	case failover.NoteOperation:
		p.noted(s.Note)
	}
}

// noted: an operation that begins is running from then on, any other is done.
func (p *play) noted(n failover.OperationNote) {
	if n.Phase != pair.OperationRunning || n.Verb != failover.VerbSwitchover {
		p.o.Operations = nil
		return
	}
	op := &p.o.Operations[0]
	op.Running = true
	op.StartedAt = p.o.Now
	op.Epoch = n.Epoch
	op.From = n.From
}

// closes: the agent, if it answers, makes the epoch durable and says that it is closed.
func (p *play) closes(s fencing.Subject) {
	m := p.member(s.Member)
	if m.Reach != failover.Answered || m.State == nil || m.Pod.UID != s.PodUID {
		return
	}
	p.asks++
	id := fmt.Sprint("r", p.asks)
	epoch := p.o.Authority.Record.Epoch
	m.State.KnownEpoch = epoch
	req, err := p.o.Evidence.Ask(s, epoch, id, p.o.Now)
	if err != nil {
		p.t.Fatal(err)
	}
	reply := agentapi.FenceReply{
		RequestID:   id,
		Member:      s.Member,
		PodUID:      s.PodUID,
		Epoch:       epoch,
		Ceased:      true,
		Demoted:     true,
		BinlogGTIDs: m.State.Server.BinlogGTIDs,
	}
	if err := p.o.Evidence.Ceased(req, reply, p.o.Now); err != nil {
		p.t.Fatal(err)
	}
	if m.State.Phase == agentapi.PhaseOpen {
		return
	}
	proof, err := fencing.FromReply(req, reply, p.o.Now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.o.Evidence.Add(proof)
}

// opens: the member that the authority names opens.
func opens(i int) func(*failover.Observation) {
	return func(o *failover.Observation) {
		s := o.Members[i].State
		s.Phase = agentapi.PhaseOpen
		s.OpenEpoch = o.Authority.Record.Epoch
		s.KnownEpoch = o.Authority.Record.Epoch
		s.ActedLedger = o.Authority.Record.Ledger.Version
		s.TailUncovered = false
		s.Server.SuperReadOnly = false
		s.Server.ReadOnly = false
		s.Server.OfflineMode = false
		s.Server.Waiting = o.Authority.Record.Ledger.MustWait(o.Members[i].Name)
	}
}

// returns: the member is there again, closed, in another run of mysqld, and streams.
func returns(i int) func(*failover.Observation) {
	return func(o *failover.Observation) {
		m := &o.Members[i]
		uid := m.Pod.UID
		*m = member(m.Name, uid, agentapi.PhaseClosed)
		running(m, o.Authority.Record.Epoch, o.Authority.Record.Ledger.Version)
		m.State.Mysqld.Incarnation = "next"
		m.State.Server.Receiver.Running = true
		m.State.Server.ReplicaSemiSync = true
	}
}
