package execute

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// beginJoining makes the primary wait again for a passive that has nothing errant.
func (r *Runner) beginJoining(ctx context.Context, o failover.Observation, s failover.BeginJoining) (Result, error) {
	res, err := r.compare(ctx, o, s)
	if err != nil || res.Pending != "" {
		return res, err
	}
	if err := r.point("BetweenCompareAndJoining"); err != nil {
		return Result{}, err
	}
	errant := res.Errant
	res, err = r.change(ctx, failover.ChangeAuthority{
		From:    s.From,
		Version: s.Version,
		Change:  authority.BeginJoining{First: s.Primary.Member, Joining: s.Passive.Member},
	})
	res.Errant = errant
	return res, err
}

// giveUpData gives up the data of a passive that has nothing errant.
func (r *Runner) giveUpData(ctx context.Context, o failover.Observation, s failover.GiveUpData) (Result, error) {
	res, err := r.compare(ctx, o, failover.BeginJoining{
		From:    s.From,
		Version: s.Version,
		Primary: s.Primary,
		Passive: s.Passive,
	})
	if err != nil || res.Pending != "" {
		return res, err
	}
	errant := res.Errant
	res, err = r.change(ctx, failover.ChangeAuthority{
		From:    s.From,
		Version: s.Version,
		Change:  authority.ForgetData{Member: s.Passive.Member, NewData: s.NewData},
	})
	res.Errant = errant
	return res, err
}

// compare compares the passive's binlog with the primary's, in this order: what the
// passive has is read first, so that what it receives meanwhile is not taken for errant. The
// result is pending when something is.
func (r *Runner) compare(ctx context.Context, o failover.Observation, s failover.BeginJoining) (Result, error) {
	c := r.command(o)
	mine, err := r.Effects.Comparers.Covers(ctx, s.Passive, agentapi.CoversRequest{Command: c})
	if err != nil {
		return Result{}, fmt.Errorf("binlog of %s: %w", s.Passive, err)
	}
	c.RequestID = r.NewID()
	theirs, err := r.Effects.Comparers.Snapshot(ctx, s.Primary, c)
	if err != nil {
		return Result{}, fmt.Errorf("snapshot of %s: %w", s.Primary, err)
	}
	passive, err := parseSet(s.Passive.String(), mine.Errant)
	if err != nil {
		return Result{}, err
	}
	primary, err := parseSet(s.Primary.String(), theirs.BinlogGTIDs)
	if err != nil {
		return Result{}, err
	}
	found := failover.Errant{
		GTIDs:       passive.Subtract(primary).String(),
		DataID:      s.From.Data[s.Passive.Member],
		Incarnation: mine.Incarnation,
	}
	errant := map[pair.MemberName]failover.Errant{s.Passive.Member: found}
	res := Result{Errant: errant}
	if found.GTIDs != "" {
		res.Pending = fmt.Sprintf("%s has %s, which %s has not", s.Passive.Member, found.GTIDs, s.Primary.Member)
	}
	return res, nil
}

// concludeJoining shows that the passive has received everything that was in the
// primary's binlog at one moment after the primary began to wait, waiting commits
// included, in one and the same incarnation before and after.
func (r *Runner) concludeJoining(ctx context.Context, o failover.Observation, s failover.ConcludeJoining) (Result, error) {
	c := r.command(o)
	before, err := r.Effects.Comparers.Covers(ctx, s.Passive, agentapi.CoversRequest{Command: c})
	if err != nil {
		return Result{}, fmt.Errorf("incarnation of %s: %w", s.Passive, err)
	}
	c.RequestID = r.NewID()
	snap, err := r.Effects.Comparers.Snapshot(ctx, s.Primary, c)
	if err != nil {
		return Result{}, fmt.Errorf("snapshot of %s: %w", s.Primary, err)
	}
	if why := unfit(snap, s.From.Ledger.Version); why != "" {
		return Result{Pending: why}, nil
	}
	c.RequestID = r.NewID()
	after, err := r.Effects.Comparers.Covers(ctx, s.Passive, agentapi.CoversRequest{Command: c, GTIDs: snap.BinlogGTIDs})
	if err != nil {
		return Result{}, fmt.Errorf("received by %s: %w", s.Passive, err)
	}
	switch {
	case after.Incarnation == "" || after.Incarnation != before.Incarnation:
		return Result{Pending: fmt.Sprintf("mysqld of %s was restarted meanwhile", s.Passive.Member)}, nil
	case !after.Covers:
		return Result{Pending: fmt.Sprintf("%s has not received %s yet", s.Passive.Member, after.Missing)}, nil
	}
	if err := r.point("BetweenCoversAndBoth"); err != nil {
		return Result{}, err
	}
	change := authority.ConcludeBoth{
		First:   s.Primary.Member,
		Joined:  s.Passive.Member,
		Version: s.From.Ledger.Version,
		Incarnations: map[pair.MemberName]pair.Incarnation{
			s.Primary.Member: snap.Incarnation, s.Passive.Member: after.Incarnation,
		},
	}
	return r.change(ctx, failover.ChangeAuthority{
		From:    s.From,
		Version: s.Version,
		Change:  change,
	})
}

// unfit says why a snapshot proves nothing; empty when it does.
func unfit(snap agentapi.SnapshotReply, version pair.LedgerVersion) string {
	switch {
	case snap.LedgerVersion != version:
		return fmt.Sprintf("the primary acts on ledger version %d, not %d", snap.LedgerVersion, version)
	case !snap.Waiting:
		return "the primary does not wait for acknowledgements yet"
	case snap.SemiSyncClients != 1:
		return fmt.Sprintf("%d semi-sync clients are connected to the primary, not one", snap.SemiSyncClients)
	case snap.Incarnation == "":
		return "the primary's mysqld does not run"
	}
	return ""
}
