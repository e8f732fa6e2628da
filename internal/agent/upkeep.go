package agent

import (
	"context"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// upkeep is what can wait: certificates, accounts, binary logs.
func (a *Agent) upkeep(ctx context.Context) {
	var round int
	passwords := &rotation{a: a}
	every(ctx, 5*time.Second, func() {
		if !a.mysqld.isUp() {
			return
		}
		if a.state.isTLSDue() {
			if err := a.ops.ReloadTLS(ctx); err != nil {
				a.state.problem(agentapi.ProblemCertificate, "mysqld does not take the renewed certificate: "+err.Error())
			} else {
				a.log.Info("mysqld has the renewed certificate")
				a.state.tlsDue(false)
			}
		}
		a.checkSpace()
		a.watchSpace()
		passwords.tend(ctx)
		a.rights.look(ctx)
		if round%6 == 0 {
			a.listPrivileged(ctx)
			a.purge(ctx)
			a.pruneQuarantine()
		}
		round++
	})
}

func (a *Agent) listPrivileged(ctx context.Context) {
	accounts, err := a.ops.PrivilegedAccounts(ctx)
	if err != nil {
		a.log.V(1).Info("cannot list privileged accounts", "reason", err.Error())
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
	a.state.privileged(list)
}

// binlogLimit is a quantity, or a share of the volume; 0 for no limit.
func (a *Agent) binlogLimit(text string) int64 {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.Atoi(share)
		var fs unix.Statfs_t
		if err != nil || unix.Statfs(a.vol.Root(), &fs) != nil {
			return 0
		}
		return int64(fs.Blocks) / 100 * int64(percent) * fs.Bsize
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0
	}
	return quantity.Value()
}

// fullBelow is the free space at which a volume counts as full: mysqld waits for room
// from there on, and a person has to know before.
const fullBelow = 64 << 20

func (a *Agent) checkSpace() {
	var fs unix.Statfs_t
	if unix.Statfs(a.vol.Root(), &fs) != nil {
		return
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < fullBelow {
		a.state.problem(agentapi.ProblemVolumeFull, "less than 64Mi are free on the volume; raise spec.storage.size or remove data")
	} else {
		a.state.resolve(agentapi.ProblemVolumeFull)
		if err := a.vol.KeepReserve(); err != nil {
			a.log.V(1).Info("no reserve on the volume", "reason", err.Error())
		}
	}
}
