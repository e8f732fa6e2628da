package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// change gives an account its new password beside the former one. It reports whether there is
// nothing left to do.
func (r *rotation) change(ctx context.Context, name string) bool {
	account := r.settings.account(name)
	if !wouldNotHang(ctx, r.ops) {
		return false
	}
	if name == agentapi.PasswordFileApp {
		// The member that was primary before, or this one before it was stopped, may have
		// changed it already. To do so again would end the former one.
		has, err := r.ops.HasPassword(ctx, account, r.settings.password(name))
		if errors.Is(err, mysqlops.ErrNoSuchObject) {
			r.log.Info("the application's account is not there, and its password is not changed", "account", account.User)
			return true
		}
		if err != nil {
			r.log.Error(err, "cannot see whether the application's account has its new password")
			return false
		}
		if has {
			return true
		}
	}
	if err := r.ops.SetPassword(ctx, account, r.settings.password(name)); err != nil {
		r.log.Error(err, "cannot change a password", "account", account.User)
		r.refused(err, account)
		return false
	}
	r.log.Info("password changed", "account", account.User)
	return true
}

// refused publishes that the rules for passwords stand against a new one; until that is resolved the former one stays in use.
func (r *rotation) refused(err error, account mysqlops.Account) {
	if !errors.Is(err, mysqlops.ErrPasswordPolicy) {
		return
	}
	r.state.problem(agentapi.ProblemPasswordRefused, fmt.Sprintf("the new password of the account %s is not in use, the former one is: "+
		"mysqld's rules for passwords refuse it (error 1819). Choose a password that satisfies them, "+
		"or relax them in spec.mysql.config: loose_validate_password.policy: LOW", account.User))
}

// formerFor is how long a former password is valid at least: agents and the pair's Jobs
// have read the new one by then.
const formerFor = time.Minute

// discard ends the validity of former passwords: of the pair's own accounts when the peer
// works with the new ones, of the application's when its overlap is over. mysqld is asked
// which there are, since the last change may have been another primary's.
func (r *rotation) discard(ctx context.Context, revision string) {
	all, err := r.ops.FormerPasswords(ctx)
	if err != nil {
		r.log.V(1).Info("cannot see which former passwords are valid", "reason", err.Error())
		return
	}
	peer, silent := r.peer.last()
	shared := peer != nil && peer.Server != nil && silent <= silentPeer && peer.Server.PasswordsRevision == revision
	overlap := max(r.settings.get().AppPasswordOverlap, formerFor)
	var until time.Time
	for _, one := range all {
		app := one.Account == r.settings.account(agentapi.PasswordFileApp)
		if app && one.Age < overlap {
			until = one.ChangedAt.Add(overlap)
			continue
		}
		own := slices.ContainsFunc(passwordFiles, func(name string) bool { return r.settings.account(name) == one.Account })
		waits := !app && (!shared || one.Age < formerFor)
		if !own || waits {
			continue
		}
		if !wouldNotHang(ctx, r.ops) {
			return
		}
		if err := r.ops.DiscardOldPassword(ctx, one.Account); err != nil {
			r.log.Error(err, "cannot discard a former password", "account", one.User)
			return
		}
		r.log.Info("former password discarded", "account", one.User)
	}
	r.state.hasFormerApp(until)
}

// hasFormerApp: the application's former password is valid until then; zero when it is not.
func (b *board) hasFormerApp(until time.Time) {
	b.mu.Lock()
	b.formerAppUntil = until
	b.mu.Unlock()
	b.bump()
}

func untilOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// keepTLS has the application's account require TLS or not, as the spec says. It reports
// whether it does.
func (r *rotation) keepTLS(ctx context.Context) bool {
	required := !r.settings.get().AppWithoutTLS
	if r.tls != nil && *r.tls == required {
		return true
	}
	if !wouldNotHang(ctx, r.ops) {
		return false
	}
	account := r.settings.account(agentapi.PasswordFileApp)
	changed, err := r.ops.RequireTLS(ctx, account, required)
	if err != nil {
		r.log.Error(err, "cannot set whether the application's account requires TLS")
		return false
	}
	if changed {
		r.log.Info("the application's account was changed", "account", account.User, "requiresTLS", required)
	}
	r.tls = &required
	return true
}
