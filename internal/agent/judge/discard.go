package judge

import (
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// MayDiscard says why what this member has received and not applied stays; nil when it may be
// discarded: an operation asks for it, no member is the holder, and at this very epoch the
// member has stopped receiving, so that nothing arrives meanwhile that was not counted.
func (g Giving) MayDiscard(c agentapi.DiscardCommand) error {
	r := g.Record
	view := g.View
	switch {
	case c.Operation == "":
		return errors.New("the command names no operation in which an admin allowed it")
	case r.PairUID != g.PairUID:
		return errors.New("the Lease is of another pair")
	case r.Epoch != c.Epoch || r.Ledger.Version != c.LedgerVersion:
		return fmt.Errorf("the Lease is at epoch %d and ledger version %d, the command names %d and %d",
			r.Epoch, r.Ledger.Version, c.Epoch, c.LedgerVersion)
	case !r.Holder.Nobody():
		return fmt.Errorf("the holder is %q: only a member that is about to be promoted discards", r.Holder)
	case g.Void || g.DataID != c.Target || r.Data[g.Self] != c.Target:
		return fmt.Errorf("the volume holds data %q, the Lease names %q, the command is about %q", g.DataID, r.Data[g.Self], c.Target)
	case view.Durable.ReceiverStopped != c.Epoch:
		return fmt.Errorf("the receiver was not stopped at epoch %d", c.Epoch)
	case view.Serving != authority.Shut:
		return errors.New("mysqld does not run closed")
	}
	return nil
}

// DiscardStep is what is done next to discard what was received and not applied.
type DiscardStep string

// The steps, in their order.
const (
	DiscardInterrupt DiscardStep = "InterruptApplier" // what the applier is in the middle of is rolled back
	DiscardSave      DiscardStep = "SaveRelayLog"     // the relay log goes to the quarantine
	DiscardReset     DiscardStep = "ResetRelayLog"    // only now it is given up
	DiscardDone      DiscardStep = "Done"             // nothing is left that was not applied
)

// NextDiscard is the step that is due, by what mysqld says now and by the transactions that
// relay logs in the quarantine hold. Asked again after each step, and after a crash at any
// point, it leads to the end: nothing is given up that was not saved before.
func NextDiscard(s mysqlops.Status, saved gtid.Set) (DiscardStep, error) {
	left := s.Received.Subtract(s.Executed)
	receives := s.Channel.Receiver == mysqlops.ReceiverStreaming || s.Channel.Receiver == mysqlops.ReceiverConnecting
	switch {
	case receives:
		return "", errors.New("the receiver runs")
	case left.IsEmpty():
		return DiscardDone, nil
	case s.Channel.ApplierRunning || !s.Applying.IsEmpty():
		return DiscardInterrupt, nil
	case !saved.Covers(left):
		return DiscardSave, nil
	}
	return DiscardReset, nil
}
