package agent

import (
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// upkeep is what can wait: certificates, accounts, binary logs, room on the volume.
type upkeep struct {
	log       logr.Logger
	ops       upkeepServer
	mysqld    *instance
	state     *board
	space     *volumeSpace
	marks     *binlogMarks
	passwords *rotation
	rights    *repairRights
	live      *liveSettings
	purging   *purging
	saved     *quarantineGuard
	libraries *libraries
	logins    *logins
}

// upkeepServer is what the upkeep itself needs of mysqld.
type upkeepServer interface {
	ReloadTLS(ctx context.Context) error
	PrivilegedAccounts(ctx context.Context) ([]mysqlops.PrivilegedAccount, error)
}

// run does what is due every few seconds while mysqld is up, until ctx ends.
func (u *upkeep) run(ctx context.Context) {
	var round int
	every(ctx, 5*time.Second, func() {
		if u.mysqld.isUp() {
			u.look(ctx, round)
			round++
		}
	})
}

// look is one round. What costs more is done every half minute, and what is of interest to people
// only every minute.
func (u *upkeep) look(ctx context.Context, round int) {
	u.reloadTLS(ctx)
	u.space.check()
	u.space.measure()
	if round%2 == 0 {
		u.marks.note()
	}
	u.passwords.tend(ctx)
	u.rights.look(ctx)
	u.live.look(ctx)
	u.libraries.look(ctx)
	if round%6 == 0 {
		u.listPrivileged(ctx)
		u.purging.purge(ctx)
		u.saved.prune()
	}
	if round%12 == 0 {
		u.logins.look(ctx)
	}
}

// reloadTLS has mysqld take renewed certificates, and tries again until it does.
func (u *upkeep) reloadTLS(ctx context.Context) {
	if !u.state.isTLSDue() {
		return
	}
	if err := u.ops.ReloadTLS(ctx); err != nil {
		u.state.problem(agentapi.ProblemCertificate, "mysqld does not take the renewed certificate: "+err.Error())
		return
	}
	u.log.Info("mysqld has the renewed certificate")
	u.state.tlsDue(false)
}

func (u *upkeep) listPrivileged(ctx context.Context) {
	accounts, err := u.ops.PrivilegedAccounts(ctx)
	if err != nil {
		u.log.V(1).Info("cannot list privileged accounts", "reason", err.Error())
		return
	}
	var list []string
	for _, one := range accounts {
		text := one.Account + " " + strings.Join(one.Rights, ",")
		if one.Locked {
			text += " (locked)"
		}
		list = append(list, text)
	}
	u.state.privileged(list)
}
