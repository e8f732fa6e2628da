package failover

import (
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// ServedBackup is the backup that a re-seed copies in place of the primary, as far as it is served.
type ServedBackup struct {
	// Served: it can be copied now, and the primary can send what followed it.
	Served bool
	// Failed: it is not served and will not be in this operation.
	Failed bool
	// Fact says what it waits for, or why it failed; empty when it is served.
	Fact string
}

// serveWithin is how long a re-seed waits for its backup before anything is given up.
const serveWithin = 10 * time.Minute

// substituteName is the name of the data that a re-seed makes of the primary when the backup could not
// be copied. Like copyName it follows from the operation.
func (o Operation) substituteName() pair.DataID {
	return o.copyName() + "-p"
}

// names reports whether the operation makes data of this name.
func (o Operation) names(data pair.DataID) bool {
	return data == o.copyName() || (o.Backup != nil && data == o.substituteName())
}

// lacksBackup says why the backup of a re-seed that has given nothing up is not waited for; empty when
// it is, or is served, or the operation copies the primary.
func (l *look) lacksBackup(op *Operation) string {
	b := op.Backup
	switch {
	case b == nil || b.Served:
		return ""
	case b.Failed:
		return "the backup cannot be copied: " + b.Fact
	case !op.Running && l.Now.Sub(op.CreatedAt) > serveWithin:
		return fmt.Sprintf("no backup was served within %s: %s", serveWithin, b.Fact)
	}
	return ""
}

// cannotUseBackup is lacksBackup, or says that the agent of the member to be copied has another version than the
// operator: one that does not know of backups would copy the primary, and nothing would say so.
func (l *look) cannotUseBackup(op *Operation, m *Member) string {
	if fact := l.otherAgent(m); op.Backup != nil && !op.Running && fact != "" {
		return "only an agent of the operator's version copies a backup: " + fact
	}
	return l.lacksBackup(op)
}

// awaitServed lets the pair be as it is until the backup is served.
func awaitServed(op *Operation) (Plan, bool) {
	fact := "waits for its backup: " + op.Backup.Fact
	if op.Running {
		return hold(VerbNone, "operation %s %s", op.Name, fact)
	}
	if op.Message == fact {
		return no()
	}
	note := OperationNote{
		Name:       op.Name,
		Verb:       op.Verb,
		Rule:       RuleReseedRequested,
		Phase:      pair.OperationPending,
		OnlyUpdate: true,
		Message:    fact,
	}
	return act("operation "+op.Name+" "+fact, NoteOperation{Note: note})
}

// copiesBackup is the operation whose backup the passive is to copy, or has copied without being able to
// go on from there; nil for none.
func (l *look) copiesBackup() *Operation {
	op := l.reseed()
	if op == nil || op.Backup == nil {
		return nil
	}
	data := l.rec.Data[op.Target]
	awaited := data == "" && l.seeding() == op.copyName()
	if awaited || l.fellBehind(op) {
		return op
	}
	return nil
}

// fellBehind: the copy of the backup is there, and the primary cannot send what follows it any more.
func (l *look) fellBehind(op *Operation) bool {
	return l.rec.Data[op.Target] == op.copyName() && l.cannotCatchUp(l.passive)
}

// noBackup says why the passive, whose data is given up for a copy of a backup, is copied from the
// primary in its place; empty when it is not. A copy that failed is not tried again: nobody can take
// over until there is one.
func (l *look) noBackup(op *Operation) string {
	m := l.passive
	switch {
	case l.fellBehind(op):
		return fmt.Sprintf("%s has no binary logs any more of %d transactions that follow it", l.holder.Name, l.lacks(m).Count())
	case op.Backup.Failed:
		return op.Backup.Fact
	case needsSeed(m):
		for _, problem := range m.State.Problems {
			if problem.Code == agentapi.ProblemSeedFailed {
				return problem.Message
			}
		}
	}
	return ""
}

const substituted = "the backup could not be used"

// seedByBackup has the passive copy the backup, or, where that fails, the primary.
func (l *look) seedByBackup(op *Operation) (Plan, bool) {
	m := l.passive
	if why := l.noBackup(op); why != "" {
		fact := fmt.Sprintf("%s (%s): %s is copied from %s", substituted, why, m.Name, l.holder.Name)
		p, ok := act("operation "+op.Name+": "+fact, l.change(authority.ForgetData{
			Member:  m.Name,
			NewData: op.substituteName(),
		}))
		p.Operation = &OperationNote{
			Name:       op.Name,
			Verb:       op.Verb,
			Rule:       RuleSeedPassive,
			Phase:      pair.OperationRunning,
			OnlyUpdate: true,
			Message:    fact,
		}
		return p, ok
	}
	if !op.Backup.Served {
		return wait("%s is to be copied from a backup, which is not served yet: %s", m.Name, op.Backup.Fact)
	}
	return act(fmt.Sprintf("%s is to be copied from a backup, and to catch up with %s", m.Name, l.holder.Name),
		Seed{
			Member:    m.Name,
			Donor:     l.holder.Name,
			Target:    m.State.DataID,
			DataID:    op.copyName(),
			OfABackup: true,
		})
}

// reseededBy says what the copy of an operation that succeeded was made of.
func (l *look) reseededBy(op *Operation) string {
	m := op.Target
	switch {
	case op.Backup == nil:
		return fmt.Sprintf("%s was copied from %s and is in sync", m, l.holder.Name)
	case l.rec.Data[m] != op.substituteName():
		return fmt.Sprintf("%s was copied from a backup, has caught up with %s and is in sync", m, l.holder.Name)
	case strings.HasPrefix(op.Message, substituted):
		return fmt.Sprintf("%s is in sync; %s", m, op.Message)
	}
	return fmt.Sprintf("%s was copied from %s, as %s, and is in sync", m, l.holder.Name, substituted)
}
