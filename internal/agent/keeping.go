package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// ownedSettings are the settings of the running mysqld that the operator owns.
type ownedSettings struct {
	log       logr.Logger
	ops       ownedServer
	member    func() mycnf.Member
	state     *board
	corrected func() // counts corrections

	wrongAt time.Time // when look last found one wrong
}

// ownedServer is what the owned settings need of mysqld.
type ownedServer interface {
	KeepOwned(ctx context.Context, want []mycnf.Expectation) (found []mysqlops.Difference, err error)
}

// look sets owned settings right that someone changed in the running mysqld. A
// member with a wrong one cannot be opened, and one that flushes too little loses
// acknowledged writes with its machine. What cannot be set right is published, so that the
// member is not promoted.
func (o *ownedSettings) look(ctx context.Context, serving authority.Serving) {
	open := serving == authority.Serves
	if !open && serving != authority.Shut {
		return
	}
	found, err := o.keep(ctx, open)
	if err == nil && len(found) == 0 {
		if time.Since(o.wrongAt) > time.Minute {
			o.state.resolve(agentapi.ProblemSettingDrift)
		}
		return
	}
	o.wrongAt = time.Now()
}

// keep sets the owned settings right, says what had been wrong, and publishes what
// still is.
func (o *ownedSettings) keep(ctx context.Context, open bool) ([]mysqlops.Difference, error) {
	found, err := o.ops.KeepOwned(ctx, mycnf.Kept(o.member(), open))
	var left *mysqlops.DriftError
	switch {
	case errors.As(err, &left):
		o.state.hasWrongSettings(left.Differences)
		o.state.problem(agentapi.ProblemSettingDrift,
			"settings of the running mysqld are not as they must be and could not be set right, so this member cannot be opened; "+
				"find out who changed them and restart the member's pod: "+left.Error())
	case err != nil && len(found) == 0:
		o.log.V(1).Info("cannot read the owned settings", "reason", err.Error())
	default:
		o.state.hasWrongSettings(nil)
	}
	if len(found) == 0 {
		return nil, err
	}
	changed := (&mysqlops.DriftError{Differences: found}).Error()
	o.log.Info("owned settings found changed", "settings", changed, "error", err)
	if left == nil {
		o.corrected()
		o.state.problem(agentapi.ProblemSettingDrift,
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
