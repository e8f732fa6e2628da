package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// users makes and removes the accounts of DatabasePairUsers on the open primary, as the operator
// orders. The agent keeps nothing about them: mysqld knows which accounts were made here.
type users struct {
	gate   gate
	log    logr.Logger
	ops    userServer
	state  *board
	config func() agentapi.Config

	mu sync.Mutex // held while accounts change
}

// userServer is what accounts of users need of mysqld.
type userServer interface {
	statusReader
	EnsureUser(ctx context.Context, u mysqlops.User, overlap time.Duration) (mysqlops.UserChanges, error)
	RemoveUser(ctx context.Context, name string, drop bool) (bool, error)
}

// ensure makes an account what the command says.
func (u *users) ensure(ctx context.Context, c agentapi.EnsureUserCommand) (agentapi.UserReply, error) {
	reply := agentapi.UserReply{RequestID: c.RequestID}
	if err := c.Check(); err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.mayChange(ctx, c.Command, c.User); err != nil {
		return reply, err
	}
	rights := c.Grants
	if slices.Contains(rights, agentapi.GrantAll) {
		rights = agentapi.UserGrants
	}
	done, err := u.ops.EnsureUser(ctx, mysqlops.User{
		Name:       c.User,
		Password:   mysqlops.NewSecret(c.Password),
		Databases:  c.Databases,
		Rights:     rights,
		Sessions:   c.MaxConnections,
		RequireTLS: c.RequireTLS,
		ReadsLogs:  c.Replication,
	}, max(u.config().AppPasswordOverlap, formerFor))
	if len(done.Changed) > 0 {
		u.log.Info("a user was changed", "user", c.User, "changes", done.Changed)
	}
	if errors.Is(err, mysqlops.ErrNotManaged) {
		return reply, refuse(agentapi.ErrorUserTaken,
			"mysqld has an account %s that no DatabasePairUser made: drop it, or choose another name", c.User)
	}
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	reply.Changed = done.Changed
	if !done.FormerPasswordUntil.IsZero() {
		reply.FormerPasswordUntil = &done.FormerPasswordUntil
	}
	return reply, nil
}

// remove locks or drops an account that ensure made.
func (u *users) remove(ctx context.Context, c agentapi.RemoveUserCommand) (agentapi.UserReply, error) {
	reply := agentapi.UserReply{RequestID: c.RequestID}
	if agentapi.IsSystemUser(c.User) {
		return reply, refuse(agentapi.ErrorRefused, "user %q is an account of MySQL or of the pair", c.User)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.mayChange(ctx, c.Command, c.User); err != nil {
		return reply, err
	}
	found, err := u.ops.RemoveUser(ctx, c.User, c.Drop)
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	if found {
		u.log.Info("a user was removed", "user", c.User, "dropped", c.Drop)
		reply.Changed = []string{"the account was locked"}
		if c.Drop {
			reply.Changed = []string{"the account was dropped"}
		}
	}
	return reply, nil
}

// mayChange refuses what is not for this member, and at a time when a change would hang.
func (u *users) mayChange(ctx context.Context, c agentapi.Command, user string) error {
	if err := u.gate.head(c); err != nil {
		return err
	}
	view := u.state.view()
	if c.Epoch != view.Known || view.Serving != authority.Serves {
		return refuse(agentapi.ErrorRefused, "this member is not open at epoch %d", c.Epoch)
	}
	if user == u.config().AppUser {
		return refuse(agentapi.ErrorUserTaken, "user %s is the application's account of the pair", user)
	}
	if !wouldNotHang(ctx, u.ops) {
		return refuse(agentapi.ErrorRefused, "commits wait for the passive, or would: an account is not changed now")
	}
	return nil
}
