package judge

import (
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// Stale says why a command is older than what the agent knows; nil when it is not.
func Stale(c agentapi.Command, view authority.View) error {
	if c.Epoch < view.Known || c.LedgerVersion < view.Durable.Ledger {
		return fmt.Errorf("epoch %d and ledger version %d are known here, the command names %d and %d",
			view.Known, view.Durable.Ledger, c.Epoch, c.LedgerVersion)
	}
	return nil
}

// Giving is a member that is asked to give up data, or a part of it.
type Giving struct {
	PairUID    pair.UID
	Self, Peer pair.MemberName
	// DataID on the volume, and whether it is void.
	DataID pair.DataID
	Void   bool
	View   authority.View
	// Record is the Lease as this agent read it itself, after the command came: an operator
	// with an outdated view must not have a member's data given up.
	Record authority.Record
}

// present: the Lease is still what the command is about, and this member's data is not
// wanted.
func (g Giving) present(c agentapi.Command) error {
	r := g.Record
	switch {
	case r.PairUID != g.PairUID:
		return errors.New("the Lease is of another pair")
	case r.Epoch != c.Epoch || r.Ledger.Version != c.LedgerVersion:
		return fmt.Errorf("the Lease is at epoch %d and ledger version %d, the command names %d and %d",
			r.Epoch, r.Ledger.Version, c.Epoch, c.LedgerVersion)
	case r.Holder.Member == g.Self:
		return errors.New("this member is the holder")
	case r.Holder.Member != g.Peer:
		return fmt.Errorf("the holder is %q and not the peer", r.Holder)
	case r.Ledger.InSync(g.Self) || r.Ledger.State == authority.Joining:
		return fmt.Errorf("the ledger is %s: this member's data may be wanted", r.Ledger.State)
	}
	return nil
}

// MaySeed says why the data is not given up for a copy of the donor's; nil when it may be.
func (g Giving) MaySeed(c agentapi.SeedCommand) error {
	if err := g.present(c.Command); err != nil {
		return err
	}
	switch {
	case c.Donor != g.Peer:
		return fmt.Errorf("the holder is %q and not the donor %q", g.Record.Holder, c.Donor)
	case g.Record.Data[g.Self] != "":
		return fmt.Errorf("the Lease still names data %q of this member", g.Record.Data[g.Self])
	case g.DataID != c.Target && !g.Void:
		return fmt.Errorf("the volume holds data %q, the command is about %q", g.DataID, c.Target)
	}
	return nil
}

// MayRewind says why the tail is not cut; nil when it may be.
func (g Giving) MayRewind(c agentapi.RewindCommand) error {
	if err := g.present(c.Command); err != nil {
		return err
	}
	durable := g.View.Durable
	switch {
	case g.Void || g.DataID != c.Target || g.Record.Data[g.Self] != c.Target:
		return fmt.Errorf("the volume holds data %q, the Lease names %q, the command is about %q", g.DataID, g.Record.Data[g.Self], c.Target)
	case g.View.Serving != authority.Stopped || durable.OpenAt == 0:
		return errors.New("mysqld is not held after an unclean end")
	case c.KeepTail:
		return nil // nothing is cut
	}
	return g.mayCut()
}

// mayCut says why the tail may hold what was acknowledged; nil when it cannot.
func (g Giving) mayCut() error {
	left := g.Record.Left
	durable := g.View.Durable
	switch {
	case durable.TailCommitted:
		return errors.New("mysqld was started since the unclean end, or commits had not waited: the tail is committed")
	case left == nil || left.Member != g.Self || left.DataID != g.DataID || left.Epoch != durable.OpenAt || !left.Clean:
		return errors.New("the Lease does not say that what this member left behind was never acknowledged")
	}
	return nil
}
