package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// rotation carries changed passwords of the Secrets into mysqld's accounts. Only the
// open primary does that, and replication brings it to the peer. The former passwords
// stay valid until the peer's agent works with the new ones.
type rotation struct {
	log      logr.Logger
	ops      rotationServer
	vol      *volume.Volume
	settings *settings
	state    *board
	peer     peerSource
	// worksWith is the revision of the passwords that the channel logs in with.
	worksWith func() string
	// acceptsRoot reports whether mysqld takes root's present password.
	acceptsRoot func(ctx context.Context) (bool, error)

	// complete: every account was as it has to be when this process, serving, looked.
	complete bool
	// checked is the revision of the passwords for which the notes were compared to mysqld.
	checked string
	// tls is what the application's account was last found or made to be; nil before.
	tls *bool
}

// rotationServer is what a change of passwords needs of mysqld.
type rotationServer interface {
	statusReader
	EnsureAccounts(ctx context.Context, passwords mysqlops.Passwords, app mysqlops.AppAccount) (mysqlops.AccountChanges, error)
	HasPassword(ctx context.Context, account mysqlops.Account, password mysqlops.Secret) (bool, error)
	SetPassword(ctx context.Context, account mysqlops.Account, password mysqlops.Secret) error
	FormerPasswords(ctx context.Context) ([]mysqlops.FormerPassword, error)
	DiscardOldPassword(ctx context.Context, account mysqlops.Account) error
	RequireTLS(ctx context.Context, account mysqlops.Account, required bool) (changed bool, err error)
}

// fingerprints name the passwords without telling them, and say their revision.
func (s *settings) fingerprints() (prints map[string]string, revision string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	prints = map[string]string{}
	for name, text := range s.passwords {
		sum := sha256.Sum256([]byte("dbpair\x00" + name + "\x00" + text))
		prints[name] = hex.EncodeToString(sum[:6])
	}
	return prints, s.revision
}

// account of a password file.
func (s *settings) account(name string) mysqlops.Account {
	switch name {
	case agentapi.PasswordFileRoot:
		return mysqlops.Account{User: mysqlops.UserRoot, Host: "localhost"}
	case agentapi.PasswordFileReplication:
		return mysqlops.Account{User: mysqlops.UserReplication, Host: "%"}
	case agentapi.PasswordFileClone:
		return mysqlops.Account{User: mysqlops.UserClone, Host: "%"}
	case agentapi.PasswordFileMonitor:
		return mysqlops.Account{User: mysqlops.UserMonitor, Host: "%"}
	case agentapi.PasswordFileChecksum:
		return mysqlops.Account{User: mysqlops.UserChecksum, Host: "%"}
	case agentapi.PasswordFileRepair:
		return mysqlops.Account{User: mysqlops.UserRepair, Host: "%"}
	default:
		return mysqlops.Account{User: s.get().AppUser, Host: "%"}
	}
}

// passwordFiles in the order in which they are changed: root last, so that a failure in
// between leaves the agent able to log in with either.
var passwordFiles = []string{
	agentapi.PasswordFileReplication, agentapi.PasswordFileClone, agentapi.PasswordFileMonitor,
	agentapi.PasswordFileChecksum, agentapi.PasswordFileRepair, agentapi.PasswordFileApp, agentapi.PasswordFileRoot,
}

// tend is one look. It is cheap while nothing changes.
func (r *rotation) tend(ctx context.Context) {
	known, err := r.vol.ReadPasswords()
	if err != nil {
		r.log.Error(err, "cannot read which passwords are in use")
		return
	}
	prints, revision := r.settings.fingerprints()
	if len(known.Applied) == 0 {
		// The first look at this data: it was made or copied with what is there now.
		known.Applied = prints
		if err := r.vol.WritePasswords(known); err != nil {
			r.log.Error(err, "cannot note which passwords are in use")
			return
		}
	}
	if r.state.view().Serving != authority.Serves {
		r.tls = nil
		r.state.resolve(agentapi.ProblemPasswordRefused)
		r.tendPassive(ctx, known.Applied, prints, revision)
		return
	}
	if !r.ensureAccounts(ctx, &known, prints) || !r.checkNotes(ctx, &known, revision) || !r.keepTLS(ctx) {
		return
	}
	for _, name := range passwordFiles {
		if known.Applied[name] == prints[name] {
			continue
		}
		if !r.change(ctx, name) {
			return
		}
		known.Applied[name] = prints[name]
		if err := r.vol.WritePasswords(known); err != nil {
			r.log.Error(err, "cannot note which passwords are in use")
			return
		}
	}
	r.state.resolve(agentapi.ProblemPasswordRefused)
	r.settings.rootChanged()
	r.state.hasPasswords(revision)
	r.discard(ctx, revision)
}

// ensureAccounts makes accounts that an earlier version of the agent did not know, with the
// password that is in the file now, and takes rights from others that they do not need any
// more. It reports whether there is nothing left to do.
func (r *rotation) ensureAccounts(ctx context.Context, known *volume.Passwords, prints map[string]string) bool {
	if r.complete {
		return true
	}
	if !wouldNotHang(ctx, r.ops) {
		return false
	}
	config := r.settings.get()
	done, err := r.ops.EnsureAccounts(ctx, r.settings.all(), mysqlops.AppAccount{User: config.AppUser, Schema: config.AppSchema})
	if err != nil {
		r.log.Error(err, "cannot make the accounts as they have to be")
		return false
	}
	if len(done.Changed) > 0 {
		r.log.Info("rights of accounts changed", "accounts", done.Changed)
	}
	for _, name := range passwordFiles {
		if slices.Contains(done.Made, r.settings.account(name).User) {
			known.Applied[name] = prints[name]
		}
	}
	if len(done.Made) > 0 {
		r.log.Info("accounts made", "accounts", done.Made)
		if err := r.vol.WritePasswords(*known); err != nil {
			r.log.Error(err, "cannot note which passwords are in use")
			return false
		}
	}
	r.complete = true
	return true
}

// checkNotes forgets which passwords are in use if root's present one is not: the data was
// copied from a member that had not changed them yet. It reports whether mysqld told.
func (r *rotation) checkNotes(ctx context.Context, known *volume.Passwords, revision string) bool {
	if r.checked == revision {
		return true
	}
	if !wouldNotHang(ctx, r.ops) {
		return false
	}
	accepted, err := r.acceptsRoot(ctx)
	if err != nil {
		r.log.Error(err, "cannot see which password of root mysqld has")
		return false
	}
	if !accepted {
		for _, name := range passwordFiles {
			if name != agentapi.PasswordFileApp {
				delete(known.Applied, name)
			}
		}
	}
	r.checked = revision
	return true
}

// acceptsRoot reports whether mysqld takes root's present password.
func (a *Agent) acceptsRoot(ctx context.Context) (bool, error) {
	ops := a.server(func() mysqlops.Secret { return a.settings.password(agentapi.PasswordFileRoot) })
	defer ops.Disconnect()
	err := ops.Ping(ctx)
	if errors.Is(err, mysqlops.ErrAccessDenied) {
		return false, nil
	}
	return err == nil, err
}

// statusReader observes mysqld.
type statusReader interface {
	Status(ctx context.Context) (mysqlops.Status, error)
}

// wouldNotHang: a change of an account that waits for an acknowledgement blocks every
// login, so it is made only when nothing waits and the peer is there to acknowledge.
func wouldNotHang(ctx context.Context, ops statusReader) bool {
	status, err := ops.Status(ctx)
	if err != nil {
		return false
	}
	s := status.SemiSync
	return s.WaitSessions == 0 && (!s.SourceEnabled || s.Clients > 0)
}

// tendPassive reports the revision this member works with: its own files are new, its
// channel logs in with them, and root's password, which is changed last, has arrived.
func (r *rotation) tendPassive(ctx context.Context, applied, prints map[string]string, revision string) {
	if r.worksWith() != revision {
		return
	}
	if r.state.passwords() != revision {
		accepted, err := r.acceptsRoot(ctx)
		if err != nil {
			r.log.V(1).Info("cannot see which password of root mysqld has", "reason", err.Error())
		}
		if !accepted {
			return
		}
		r.settings.rootChanged()
		r.state.hasPasswords(revision)
	}
	if peer, _ := r.peer.last(); peer == nil || peer.Server == nil || peer.Server.PasswordsRevision != revision {
		return // the primary has not changed all of them
	}
	for name, print := range prints {
		if applied[name] == print {
			continue
		}
		known, err := r.vol.ReadPasswords()
		if err == nil {
			known.Applied = prints
			err = r.vol.WritePasswords(known)
		}
		if err != nil {
			r.log.Error(err, "cannot note which passwords are in use")
		}
		return
	}
}
