package execute

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
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
	case failover.Fence:
		return s.Subject.String()
	case failover.Drain:
		return s.Subject.String()
	case failover.Cease:
		return s.Subject.String()
	case failover.AckFence:
		return s.Subject.String()
	case failover.Discard:
		return s.Subject.String()
	case failover.ProvePod:
		return s.Subject.String()
	case failover.ProveNode:
		return fmt.Sprintf("%s on %s", s.Subject, s.Node)
	case failover.AdminConfirmation:
		return fmt.Sprintf("%s by %s", s.Subject, s.Word.Operation)
	case failover.DeletePod:
		return s.Subject.String()
	case failover.AddFinalizer:
		return s.Subject.String()
	case failover.RemoveFinalizer:
		return s.Subject.String()
	case failover.LabelPod:
		return s.Subject.String()
	case failover.Hold:
		return s.Subject.String()
	case failover.ReleaseHeld:
		return s.Subject.String()
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
	return ""
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
