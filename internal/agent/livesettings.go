package agent

import (
	"context"
	"maps"
	"slices"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/pair"
)

// liveSettings has the running mysqld take over settings of the user that were changed, where it can.
type liveSettings struct {
	log    logr.Logger
	ops    liveServer
	config func() agentapi.Config
	// running is the mysqld that is up and the settings with which it was started; no incarnation without one.
	running func() (pair.Incarnation, map[string]string)
	publish func(agentapi.RunningSettings)

	// What follows is about one run of mysqld.
	incarnation pair.Incarnation
	has         map[string]string // what it runs with
	given       map[string]string // what was tried last
	waits       []string          // those of given that it does not run with
}

// liveServer is what this needs of mysqld.
type liveServer interface {
	TakeOver(ctx context.Context, variable, value string) (now, refused string, err error)
}

// look has mysqld take over what has changed since the last time, and publishes what waits for its next start. What was not
// answered is tried again at the next look.
func (l *liveSettings) look(ctx context.Context) {
	incarnation, started := l.running()
	if incarnation == "" {
		return
	}
	if incarnation != l.incarnation {
		l.incarnation = incarnation
		l.has = maps.Clone(started)
		l.given = maps.Clone(started)
		l.waits = nil
	}
	wanted := l.config().MySQL
	if !maps.Equal(wanted, l.given) && !l.take(ctx, wanted) {
		return
	}
	l.publish(agentapi.RunningSettings{Sum: agentapi.SettingsSum(wanted), Waits: slices.Clone(l.waits)})
}

// take tries each setting that differs from what mysqld runs with. It reports false when one was not answered.
func (l *liveSettings) take(ctx context.Context, wanted map[string]string) bool {
	var waits []string
	for _, c := range mycnf.Changes(l.has, wanted) {
		if c.AtStart {
			waits = append(waits, c.Key)
			continue
		}
		now, refused, err := l.ops.TakeOver(ctx, c.Variable, c.Value)
		switch {
		case err != nil:
			l.log.V(1).Info("cannot set a setting in the running mysqld", "setting", c.Key, "reason", err.Error())
			return false
		case refused != "":
			l.log.Info("a setting acts at the next start of mysqld", "setting", c.Key, "reason", refused)
			waits = append(waits, c.Key)
		case !c.TakenOver(now):
			l.log.Info("a setting acts at the next start of mysqld", "setting", c.Key, "wanted", c.Value, "is", now)
			waits = append(waits, c.Key)
		default:
			l.log.Info("the running mysqld has taken over a setting", "setting", c.Key, "value", now)
			if l.has == nil {
				l.has = map[string]string{}
			}
			l.has[c.Key] = wanted[c.Key]
		}
	}
	l.given = maps.Clone(wanted)
	l.waits = waits
	return true
}

// hasSettings publishes what mysqld has of the user's settings.
func (b *board) hasSettings(s agentapi.RunningSettings) {
	b.mu.Lock()
	b.settings = &s
	b.mu.Unlock()
	b.bump()
}
