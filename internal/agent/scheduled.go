package agent

import (
	"context"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// keepEvents has the events of the event scheduler run on the member that is open, and on that
// one only. It waits its turn while commits wait for the passive: its own would wait with them.
func (a *Agent) keepEvents(ctx context.Context) {
	said := "" // a reason is logged once, not every second
	every(ctx, time.Second, func() {
		if a.state.view().Serving != authority.Serves || !a.mysqld.isUp() || !wouldNotHang(ctx, a.ops) {
			return
		}
		enabled, err := a.ops.KeepEvents(ctx)
		if len(enabled) > 0 {
			a.log.Info("events enabled that ran on the former primary", "events", strings.Join(enabled, " "))
		}
		if err == nil {
			said = ""
		} else if ctx.Err() == nil && said != err.Error() {
			said = err.Error()
			a.log.Info("the events of the event scheduler are not as they have to be yet", "reason", said)
		}
	})
}
