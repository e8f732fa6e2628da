package agent

import (
	"context"
	"errors"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// keepSettings sets owned settings right that someone changed in the running mysqld. A
// member with a wrong one cannot be opened, and one that flushes too little loses
// acknowledged writes with its machine. What cannot be set right is published, so that the
// member is not promoted.
func (w *watch) keepSettings(ctx context.Context, view authority.View) {
	a := w.a
	open := view.Serving == authority.Serves
	if !open && view.Serving != authority.Shut {
		return
	}
	found, err := a.keepOwned(ctx, open)
	if err == nil && len(found) == 0 {
		if time.Since(w.settingsRight) > time.Minute {
			a.state.resolve(agentapi.ProblemSettingDrift)
		}
		return
	}
	w.settingsRight = time.Now()
}

// keepOwned sets the owned settings right, says what had been wrong, and publishes what
// still is.
func (a *Agent) keepOwned(ctx context.Context, open bool) ([]mysqlops.Difference, error) {
	found, err := a.ops.KeepOwned(ctx, mycnf.Kept(a.member(a.vol.DataDir()), open))
	var left *mysqlops.DriftError
	switch {
	case errors.As(err, &left):
		a.state.hasWrongSettings(left.Differences)
		a.state.problem(agentapi.ProblemSettingDrift,
			"settings of the running mysqld are not as they must be and could not be set right, so this member cannot be opened; "+
				"find out who changed them and restart the member's pod: "+left.Error())
	case err != nil && len(found) == 0:
		a.log.V(1).Info("cannot read the owned settings", "reason", err.Error())
	default:
		a.state.hasWrongSettings(nil)
	}
	if len(found) == 0 {
		return nil, err
	}
	changed := (&mysqlops.DriftError{Differences: found}).Error()
	a.log.Info("owned settings found changed", "settings", changed, "error", err)
	if left == nil {
		a.metrics.settings.Inc()
		a.state.problem(agentapi.ProblemSettingDrift,
			"settings that dbpair owns were changed in the running mysqld and were set right; find out who did: "+changed)
	}
	return found, err
}

// hasWrongSettings publishes the owned settings that are wrong now.
func (b *board) hasWrongSettings(list []mysqlops.Difference) {
	var wrong []string
	for _, one := range list {
		wrong = append(wrong, one.String())
	}
	b.mu.Lock()
	b.wrong = wrong
	b.mu.Unlock()
	b.bump()
}
