package agent

import (
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/authority"
)

// eventGuard keeps the events of MySQL's event scheduler enabled where they have to run.
type eventGuard struct {
	log    logr.Logger
	ops    eventServer
	mysqld *instance
	state  *board

	said string // a reason is logged once, not every second
}

// eventServer is what the events need of mysqld.
type eventServer interface {
	statusReader
	KeepEvents(ctx context.Context) (enabled []string, err error)
}

// run looks every second until ctx ends.
func (g *eventGuard) run(ctx context.Context) {
	every(ctx, time.Second, func() { g.look(ctx) })
}

// look has the events of the event scheduler run on the member that is open, and on that
// one only. It waits its turn while commits wait for the passive: its own would wait with them.
func (g *eventGuard) look(ctx context.Context) {
	if g.state.view().Serving != authority.Serves || !g.mysqld.isUp() || !wouldNotHang(ctx, g.ops) {
		return
	}
	enabled, err := g.ops.KeepEvents(ctx)
	if len(enabled) > 0 {
		g.log.Info("events enabled that ran on the former primary", "events", strings.Join(enabled, " "))
	}
	if err == nil {
		g.said = ""
	} else if ctx.Err() == nil && g.said != err.Error() {
		g.said = err.Error()
		g.log.Info("the events of the event scheduler are not as they have to be yet", "reason", g.said)
	}
}
