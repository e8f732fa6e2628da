package agent

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// waiting is whether commits of the open member wait for the peer. Its changes and the
// correction of what someone else did to it exclude each other.
//
// Anyone who may SET GLOBAL can switch the waiting off, for however short a time. What was
// acknowledged then is perhaps on this member alone, while the ledger says that the peer
// has it. mysqld counts how often its waiting ended; so no interruption is overlooked,
// also one that is over.
type waiting struct {
	log   logr.Logger
	ops   waitServer
	state *board
	post  func(authority.Event)
	lost  func() // counts the interruptions that were published
	// endReaders ends the readers of the binary logs; none is there while commits wait.
	endReaders func(context.Context) error

	// lock is held through a change, which takes up to a second.
	lock    sync.Mutex
	on      bool
	version pair.LedgerVersion
	known   int // interruptions that are this agent's own, or were published
	// deceived is the version at which someone else than the peer acknowledged, 0 for none since
	// the source side was last switched on.
	deceived pair.LedgerVersion

	mu      sync.Mutex
	changes int // begun and ended: odd while one is under way
}

// waitServer is what the waiting needs of mysqld.
type waitServer interface {
	Status(ctx context.Context) (mysqlops.Status, error)
	StartWaiting(ctx context.Context) error
	StopWaiting(ctx context.Context, soloVersion uint64) error
}

// changed tells whether a change came between two calls: they differ, or are odd.
func (w *waiting) changed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}

func (w *waiting) count() {
	w.mu.Lock()
	w.changes++
	w.mu.Unlock()
}

// waitsForNobody reports whether what mysqld said, to a question that was put when changed gave
// before, still holds when it was that commits do not wait, and whether they need not.
func (w *waiting) waitsForNobody(before int, serving authority.Serving) bool {
	if !w.lock.TryLock() {
		return false // a change is under way
	}
	defer w.lock.Unlock()
	return before%2 == 0 && before == w.changed() && (serving == authority.Shut || !w.on)
}

// change carries out one of the agent's own changes.
func (w *waiting) change(ctx context.Context, on bool, version pair.LedgerVersion, do func() error) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.count()
	defer w.count()
	if on && !w.on {
		// Read before: an interruption after the first statement of the change counts.
		status, err := w.ops.Status(ctx)
		if err != nil {
			return err
		}
		w.known = status.SemiSync.Interruptions
		if err := w.endReaders(ctx); err != nil {
			return err
		}
	}
	if !on {
		w.on = false
		w.version = version
	}
	if err := do(); err != nil {
		return err
	}
	w.on = on
	w.version = version
	return nil
}

// follow has commits wait, or not, as the ledger says.
func (w *waiting) follow(ctx context.Context, act authority.SetSemiSync) {
	err := w.rearm(ctx, act)
	if err == nil {
		err = w.change(ctx, act.Waiting, act.Version, func() error {
			if act.Waiting {
				return w.ops.StartWaiting(ctx)
			}
			return w.stop(ctx, act.Version)
		})
	}
	if err != nil {
		w.log.Error(err, "cannot switch waiting", "waiting", act.Waiting, "ledgerVersion", act.Version)
	} else {
		w.log.Info("waiting switched", "waiting", act.Waiting, "ledgerVersion", act.Version)
	}
	w.post(authority.WaitingSet{
		At:      process.Now(),
		Version: act.Version,
		OK:      err == nil,
	})
	w.state.poke()
}

func (w *waiting) stop(ctx context.Context, version pair.LedgerVersion) error {
	if err := w.ops.StopWaiting(ctx, uint64(max(version, 1))); err != nil {
		return err
	}
	w.deceived = 0
	return nil
}

// rearm has mysqld forget what someone else than the peer acknowledged: it can have been a place that
// the binary logs have not reached yet, and then no commit waits up to there. Only switching the source
// side off does that, which lets pass what waits at this moment. So it is done for a version of the
// ledger that is newer than the one at which that was published: this one does not rely on what was
// acknowledged until then, and the peer is compared with this member afterwards.
func (w *waiting) rearm(ctx context.Context, act authority.SetSemiSync) error {
	w.lock.Lock()
	due := w.on && w.deceived != 0 && act.Waiting && act.Version > w.deceived
	w.lock.Unlock()
	if !due {
		return nil
	}
	w.log.Info("the source side is switched off and on, since someone else than the peer acknowledged", "ledgerVersion", act.Version)
	return w.change(ctx, false, act.Version, func() error { return w.stop(ctx, act.Version) })
}

// forget is called while the member is closed: what mysqld counted until it opens is of no
// account.
func (w *waiting) forget() {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.on = false
	w.deceived = 0 // the source side of a closed member is off
}

// publish says that the ledger promises more than there is.
func (w *waiting) publish() {
	w.lost()
	w.state.lostSemiSync(w.version)
	w.post(authority.SemiSyncLost{At: process.Now()})
}

// foreign: acknowledgements of someone else than the peer may have let commits pass.
func (w *waiting) foreign() {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.on {
		w.deceived = w.version
		w.publish()
	}
}

// interrupted reports whether mysqld counts more interruptions than are known. A count of
// zero where there were some is FLUSH STATUS, which is no interruption and hides none but
// one that came between the last observation and it.
func (w *waiting) interrupted(count int) bool {
	if count == 0 && w.known > 0 {
		w.known = 0
		w.log.Info("mysqld's status counters were reset (FLUSH STATUS)")
	}
	return count != w.known
}

// judge looks for an interruption in what mysqld said to a question that was put when
// changed gave before. It publishes one first and then sets the waiting right, and
// reports whether there was one.
func (w *waiting) judge(ctx context.Context, s mysqlops.SemiSync, before int) bool {
	if !w.lock.TryLock() {
		return false // a change is under way
	}
	defer w.lock.Unlock()
	switch {
	case before%2 != 0 || before != w.changed():
		return false // read while it changed
	case !w.on && s.SourceEnabled:
		// By the ledger nobody need wait, and nobody would ever acknowledge.
		w.log.Info("commits of a primary that is alone wait by an external change", "ledgerVersion", w.version)
		w.state.problem(agentapi.ProblemOwnedVariable,
			"rpl_semi_sync_source_enabled was ON on a primary that need not wait, and was corrected; find out who set it")
		if err := w.ops.StopWaiting(ctx, uint64(max(w.version, 1))); err != nil {
			w.log.Error(err, "cannot let commits pass")
		}
		return true
	case !w.on || (s.Waits() && !w.interrupted(s.Interruptions)):
		return false
	}
	w.publish()
	w.log.Info("commits did not wait for the peer by an external change", "enabled", s.SourceEnabled, "active", s.SourceActive,
		"strict", s.SourceStrict, "interruptions", s.Interruptions-w.known, "ledgerVersion", w.version)
	const hint = "what was acknowledged meanwhile may be on this member alone until it is shown that the peer has it; " +
		"find out who set rpl_semi_sync_source_*"
	err := w.ops.StartWaiting(ctx)
	if err == nil {
		var status mysqlops.Status
		if status, err = w.ops.Status(ctx); err == nil {
			w.known = status.SemiSync.Interruptions
		}
	}
	if err != nil {
		w.log.Error(err, "cannot have commits wait again")
		w.state.problem(agentapi.ProblemOwnedVariable,
			fmt.Sprintf("commits of this primary do not wait for its peer, and that could not be corrected (%v); %s", err, hint))
		return true
	}
	w.state.problem(agentapi.ProblemOwnedVariable,
		"commits of this primary did not wait for its peer by an external change; that was corrected; "+hint)
	return true
}
