package execute

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
)

// entry is the line of the timeline for what was done.
func (p Part) entry() TimelineEntry {
	e := TimelineEntry{
		At:      p.At,
		Took:    p.Took,
		Message: about(p.Step),
	}
	if p.Step == nil {
		return e
	}
	e.Step = p.Step.Name()
	switch s := p.Step.(type) {
	case failover.ChangeAuthority:
		e.Step = failover.StepName(s.Change.Name())
		e.Decisive = true
	case failover.PointService:
		e.Decisive = true
	}
	if p.Pending != "" {
		e.Message += ": " + p.Pending
	}
	return e
}

// about is what a step is done to.
func about(step failover.Step) string {
	switch s := step.(type) {
	case failover.ChangeAuthority:
		return aboutChange(s)
	case failover.ProveNode:
		return fmt.Sprintf("%s on %s", s.Subject, s.Node)
	case failover.AdminConfirmation:
		return fmt.Sprintf("%s by %s", s.Subject, s.Word.Operation)
	case failover.ReadLease:
		return string(s.Member)
	case failover.DetachService:
		return "from " + s.From.String()
	case failover.PointService:
		where := "the door"
		if s.Leads == failover.LeadsOpen {
			where = "mysqld"
		}
		return fmt.Sprintf("to %s of %s at epoch %d", where, s.Member, s.Epoch)
	case failover.NoteOperation:
		return s.Note.Message
	}
	if pod, ok := podOf(step); ok {
		return pod.String()
	}
	return ""
}

// podOf is the pod that a step is about and about nothing else; not ok for any other step.
func podOf(step failover.Step) (pod fencing.Subject, ok bool) {
	switch s := step.(type) {
	case failover.Fence:
		return s.Subject, true
	case failover.Drain:
		return s.Subject, true
	case failover.Cease:
		return s.Subject, true
	case failover.AckFence:
		return s.Subject, true
	case failover.Discard:
		return s.Subject, true
	case failover.ProvePod:
		return s.Subject, true
	case failover.DeletePod:
		return s.Subject, true
	case failover.AddFinalizer:
		return s.Subject, true
	case failover.RemoveFinalizer:
		return s.Subject, true
	case failover.LabelPod:
		return s.Subject, true
	case failover.Hold:
		return s.Subject, true
	case failover.ReleaseHeld:
		return s.Subject, true
	}
	return fencing.Subject{}, false
}

func aboutChange(s failover.ChangeAuthority) string {
	switch c := s.Change.(type) {
	case authority.Revoke:
		return fmt.Sprintf("from %s, epoch %d", s.From.Holder, s.From.Epoch+1)
	case authority.Appoint:
		text := fmt.Sprintf("%s, epoch %d", c.To, s.From.Epoch+1)
		for _, used := range c.Used(s.From) {
			text += fmt.Sprintf(", %s of %s", used.Kind, used.Subject)
		}
		return text
	case authority.RecordEnd:
		return c.Proof.String()
	}
	return ""
}
