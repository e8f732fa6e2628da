package failover

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// copyName is the name of the data that a re-seed makes. It follows from the operation, so that
// every operator sees by the Lease how far the operation is.
func (o Operation) copyName() pair.DataID {
	if o.ByOperator {
		if i := strings.LastIndex(o.Name, ownReseed); i >= 0 {
			return pair.DataID(o.Name[i+len(ownReseed):])
		}
	}
	sum := sha256.Sum256([]byte(o.Name + "/" + o.CreatedAt.UTC().Format(time.RFC3339)))
	return pair.DataID("copy-" + hex.EncodeToString(sum[:8]))
}

// ownReseed stands before the name of the copy in the name of the record of a re-seed that the operator began by itself.
const ownReseed = "-reseed-"

// ownReseedNote is the record of a re-seed that the operator begins by itself. It is made once the Lease gives the data
// up, and nothing that is done depends on it.
func (l *look) ownReseedNote(m *Member, data pair.DataID, fact string) *OperationNote {
	return &OperationNote{
		Name:    l.Settings.Name + ownReseed + string(data),
		Verb:    VerbReseed,
		Rule:    RuleReseedDiverged,
		Phase:   pair.OperationRunning,
		Epoch:   l.e,
		From:    l.holder.Name,
		Target:  m.Name,
		Message: fact,
	}
}

// reseed is the oldest unfinished re-seed of the passive that may be done; nil for none.
func (l *look) reseed() *Operation {
	op := l.operation(VerbReseed, "")
	if op == nil || l.passive == nil || op.Target != l.passive.Name {
		return nil
	}
	return op
}

// givenUp: the Lease says that the member's data is given up for the copy of this operation,
// which is under way or done.
func (l *look) givenUp(op *Operation) bool {
	seeds := l.passive != nil && op.Target == l.passive.Name && op.names(l.seeding())
	return op.names(l.rec.Data[op.Target]) || seeds
}

// awaitsReseed: the passive is about to be copied again, so that it does not join meanwhile.
func (l *look) awaitsReseed() bool {
	op := l.reseed()
	return op != nil && op.Running && !op.ByOperator && !l.givenUp(op)
}

// cannotReseed says why the operation is not begun; empty when it may be.
func (l *look) cannotReseed(op *Operation) string {
	if l.givenUp(op) {
		return ""
	}
	m := l.member(op.Target)
	switch {
	case l.holder == nil || m == nil:
		return "nobody is the primary: there is nothing to copy from"
	case m == l.holder:
		return fmt.Sprintf("%s is the primary: only the passive is copied again", m.Name)
	case l.operation(VerbReseed, "") != op:
		return fmt.Sprintf("operation %s copies %s", l.operation(VerbReseed, "").Name, l.operation(VerbReseed, "").Target)
	case !l.open(l.holder):
		return fmt.Sprintf("the primary %s is not open: there is nothing to copy from", l.holder.Name)
	case !m.heard():
		return fmt.Sprintf("the agent of %s does not answer (%s)", m.Name, m.Reach)
	case len(l.Jobs) > 0 && !op.Running:
		// Beside a re-seed the Job would make way, and its work be lost.
		return fmt.Sprintf("operation %[1]s is running and reads %[2]s: ask again when it has ended, "+
			"or end it with kubectl delete dbpo %[1]s -n %[3]s", l.Jobs[0], m.Name, l.Settings.Namespace)
	case l.cannotUseBackup(op, m) != "":
		return l.cannotUseBackup(op, m)
	case needsSeed(m), l.seeding() != "", m.State.Phase == agentapi.PhaseSeeding:
		return fmt.Sprintf("%s is being copied already", m.Name)
	}
	if other := l.askedSwitchover(); other != nil && other.Running {
		return fmt.Sprintf("operation %s switches over between %s and %s: copy the passive when that has ended",
			other.Name, l.holder.Name, m.Name)
	}
	return l.cannotCopyNow(op, m)
}

func (l *look) cannotCopyNow(op *Operation, m *Member) string {
	blocked := l.Settings.Lossless && !l.Settings.ContinueAlone && l.rec.Ledger.State != authority.Solo
	switch {
	case m.Pod.Deleting:
		return fmt.Sprintf("the pod of %s is being deleted", m.Name)
	case m.ClaimDeleting:
		return fmt.Sprintf("the volume claim of %s is being deleted", m.Name)
	case blocked:
		return fmt.Sprintf("durability.onPassiveLoss is Block: %s can be copied only while %s goes on alone, so set it to Continue until then",
			m.Name, l.holder.Name)
	case !replaceable(m):
		return fmt.Sprintf("%s is %s", m.Name, m.State.Phase)
	case !op.GiveUp:
		return l.onlyThere(m)
	}
	return ""
}

// replaceable: the member's data can be given up in this phase.
func replaceable(m *Member) bool {
	switch m.State.Phase {
	case agentapi.PhaseClosed, agentapi.PhaseHeld, agentapi.PhaseFailed, agentapi.PhaseRecovering:
		return true
	case agentapi.PhaseStarting, agentapi.PhaseVolumeInUse, agentapi.PhaseForeign, agentapi.PhaseVolumeLost, agentapi.PhaseEmpty,
		agentapi.PhaseInitializing, agentapi.PhaseSeeding, agentapi.PhaseVoid, agentapi.PhaseOpening, agentapi.PhaseOpen, agentapi.PhaseClosing:
	}
	return false
}

// onlyThere says what the member has, or may have, that the primary lacks, so that giving it up
// has to be confirmed; empty when a comparison can tell.
func (l *look) onlyThere(m *Member) string {
	const confirm = "to give that up, which saves its binary logs in its quarantine, set spec.giveUp and spec.confirm, " +
		"as kubectl dbpair reseed does"
	if errant := l.compare(m).errant; !errant.IsEmpty() {
		return fmt.Sprintf("%s has %d transactions that %s lacks, such as %.200s; %s", m.Name, errant.Count(), l.holder.Name, errant, confirm)
	}
	if m.State.Phase != agentapi.PhaseClosed || !m.State.Mysqld.Running || m.State.Server == nil {
		return fmt.Sprintf("%s is %s, so that what it has cannot be compared with %s; %s", m.Name, m.State.Phase, l.holder.Name, confirm)
	}
	return ""
}

// reseedRequested: the primary goes on alone, the Lease gives the passive's data up, and then
// seedPassive has it copied, whatever becomes of the operation.
func reseedRequested(l *look) (Plan, bool) {
	op := l.reseed()
	if op == nil || op.ByOperator || l.givenUp(op) {
		return no()
	}
	if why := l.cannotReseed(op); why != "" {
		if !op.Running {
			return no() // it is refused
		}
		return hold(VerbNone, "operation %s waits: %s", op.Name, why)
	}
	if op.Backup != nil && !op.Backup.Served {
		return awaitServed(op)
	}
	if missing := l.uncompared(); missing != "" {
		return wait("operation %s waits: %s", op.Name, missing)
	}
	fact := fmt.Sprintf("operation %s: %s is to be copied from %s again", op.Name, l.passive.Name, l.holder.Name)
	if op.Backup != nil {
		fact = fmt.Sprintf("operation %s: %s is to be copied from a backup, and to catch up with %s", op.Name, l.passive.Name, l.holder.Name)
	}
	p, ok := act(fact, l.giveUp(op))
	p.Operation = &OperationNote{
		Name:    op.Name,
		Verb:    VerbReseed,
		Rule:    RuleReseedRequested,
		Phase:   pair.OperationRunning,
		Epoch:   l.e,
		From:    l.holder.Name,
		Message: fact,
	}
	return p, ok
}

// giveUp is the next step towards the copy.
func (l *look) giveUp(op *Operation) Step {
	switch {
	case l.rec.Ledger.State != authority.Solo:
		return l.change(authority.EnterSolo{Member: l.holder.Name})
	case op.GiveUp:
		return l.change(authority.ForgetData{Member: l.passive.Name, NewData: op.copyName()})
	}
	return GiveUpData{
		From:    l.rec,
		Version: l.Authority.Version,
		Primary: l.holder.subject(),
		Passive: l.passive.subject(),
		NewData: op.copyName(),
	}
}

// supersededAfter is how long a record may be seen before the Lease that it is about.
const supersededAfter = time.Minute

// copied: the member has the data of this operation, follows and may take over.
func (l *look) copied(op *Operation, m *Member) bool {
	inSync := !l.Settings.Lossless || l.rec.Ledger.State == authority.Both
	return op.names(l.rec.Data[m.Name]) && inSync && streams(m) && l.candidacyOf(m).ok
}

// gaveUp is what the copy of this operation gave up, as the member says; nil for nothing.
func (l *look) gaveUp(op *Operation) *agentapi.Discarded {
	m := l.member(op.Target)
	if m == nil || m.State == nil || m.State.Discarded == nil || !op.names(m.State.Discarded.DataID) {
		return nil
	}
	return m.State.Discarded
}

// reseeded ends a re-seed that was begun: when the copy is in sync, or when it cannot be.
func (l *look) reseeded(op *Operation) (pair.OperationPhase, string) {
	m := l.member(op.Target)
	if !op.Running || m == nil || l.holder == nil {
		return "", ""
	}
	switch {
	case m == l.holder:
		return pair.OperationAbandoned, fmt.Sprintf("%s is the primary", m.Name)
	case l.copied(op, m):
		gaveUp := ""
		if d := l.gaveUp(op); d != nil {
			gaveUp = fmt.Sprintf("; it gave up %d transactions, which are saved in %s on its volume", d.Transactions, d.Directory)
		}
		return pair.OperationSucceeded, l.reseededBy(op) + gaveUp
	case op.ByOperator && !l.givenUp(op):
		if l.Now.Sub(op.StartedAt) > supersededAfter {
			return pair.OperationAbandoned, fmt.Sprintf("%s was given other data meanwhile", m.Name)
		}
	case !l.givenUp(op):
		return l.failedBefore(op, m)
	}
	return "", ""
}

// failedBefore ends a re-seed that has given nothing up, when it cannot.
func (l *look) failedBefore(op *Operation, m *Member) (pair.OperationPhase, string) {
	switch {
	case !op.GiveUp && !l.compare(m).errant.IsEmpty():
		return pair.OperationFailed, l.onlyThere(m)
	case op.Backup != nil && op.Backup.Failed:
		return pair.OperationFailed, fmt.Sprintf("%s; the data of %s is as it was", l.lacksBackup(op), m.Name)
	}
	return "", ""
}
