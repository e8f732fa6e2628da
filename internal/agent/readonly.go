package agent

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// readOnlyGuard corrects a passive that someone made writable, and a primary that someone made
// read-only. The watch alone uses it.
type readOnlyGuard struct {
	log       logr.Logger
	ops       readOnlyServer
	state     *board
	follow    turn
	corrected func() // counts passives found writable

	closedAt time.Time // when a passive was last closed
	locked   int       // looks in a row that found an open member read-only or offline
	setRight time.Time // when an open member was last set right
}

// readOnlyServer is what the correction needs of mysqld.
type readOnlyServer interface {
	KeepReadOnly(ctx context.Context) (mysqlops.Correction, error)
	KeepWritable(ctx context.Context) (mysqlops.Correction, error)
}

// turn is that of replication, which one part has at a time.
type turn interface {
	take(ctx context.Context) error
	giveBack()
}

// close corrects a passive that someone made writable. It holds the turn, so
// that it cannot close what is just being opened.
func (g *readOnlyGuard) close(ctx context.Context) {
	if g.follow.take(ctx) != nil {
		return
	}
	defer g.follow.giveBack()
	if g.state.view().Serving != authority.Shut {
		return
	}
	found, err := g.ops.KeepReadOnly(ctx)
	if err != nil {
		g.log.Error(err, "cannot correct a writable passive")
		return
	}
	if !found.Needed {
		return
	}
	g.closedAt = time.Now()
	g.state.poke() // what was published says writable
	g.corrected()
	g.log.Info("passive found writable, corrected", "readOnly", found.ReadOnly, "superReadOnly", found.SuperReadOnly)
	g.state.problem(agentapi.ProblemWritablePassive, "this closed member was found writable and was corrected; find out who changed read_only")
}

// keepOpen corrects an open member that was found read-only or offline twice in a row: once may
// have been read before it opened.
func (g *readOnlyGuard) keepOpen(ctx context.Context, status mysqlops.Status) {
	if g.locked++; !status.ReadOnly && !status.SuperReadOnly && !status.OfflineMode {
		g.locked = 0
	}
	switch {
	case g.locked > 1:
		g.unlock(ctx)
	case g.locked == 0 && time.Since(g.setRight) > time.Minute:
		g.state.resolve(agentapi.ProblemOwnedVariable)
	}
}

// unlock lifts what someone set on an open member by hand. It holds the turn, so that a
// fence comes after it, and ends long before the confirmation does.
func (g *readOnlyGuard) unlock(ctx context.Context) {
	lease := g.state.view().LeaseDuration
	ctx, cancel := context.WithTimeout(ctx, lease/8)
	defer cancel()
	if g.follow.take(ctx) != nil {
		return
	}
	defer g.follow.giveBack()
	view := g.state.view()
	if view.Serving != authority.Serves || !view.Confirmed || process.Now().Sub(view.ConfirmedAt) > lease/2 {
		return
	}
	found, err := g.ops.KeepWritable(ctx)
	if err != nil {
		g.log.Error(err, "cannot correct a primary that was made read-only")
		g.state.problem(agentapi.ProblemOwnedVariable,
			"this primary is read-only or offline by an external change; SET GLOBAL super_read_only=OFF, read_only=OFF, offline_mode=OFF")
		return
	}
	if !found.Needed {
		return
	}
	g.setRight = time.Now()
	g.log.Info("primary found read-only, corrected", "readOnly", found.ReadOnly, "superReadOnly", found.SuperReadOnly,
		"offlineMode", found.OfflineMode)
	g.state.problem(agentapi.ProblemOwnedVariable,
		"this primary was read-only or offline by an external change and was corrected; "+
			"find out who, and use kubectl dbpair fence to stop writes")
}
