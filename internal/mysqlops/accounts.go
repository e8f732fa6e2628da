package mysqlops

import (
	"context"
	"time"
)

// The accounts of dbpair. Their rights are in the table of accounts below.
const (
	UserRoot        = "root"
	UserReplication = "dbpair_repl"
	UserClone       = "dbpair_clone"
	UserMonitor     = "dbpair_monitor"
	UserChecksum    = "dbpair_checksum"
	UserRepair      = "dbpair_repair"
	// UserApp and SchemaApp are the defaults for the application's account.
	UserApp   = "app"
	SchemaApp = "app"
	// SchemaOwn holds the heartbeat; replicated like any other.
	SchemaOwn = "dbpair"
)

// Passwords are the secrets of a pair's accounts; none may be empty.
type Passwords struct {
	Root, Replication, Clone, Monitor, Checksum, Repair, App Secret
}

// AppAccount names the application's account and schema; zero fields take
// UserApp and SchemaApp.
type AppAccount struct {
	User   string
	Schema string
}

func (a AppAccount) withDefaults() AppAccount {
	if a.User == "" {
		a.User = UserApp
	}
	if a.Schema == "" {
		a.Schema = SchemaApp
	}
	return a
}

// Account is one account of dbpair by user and host.
type Account struct {
	User, Host string
}

// CreateAccounts makes the accounts of a pair and the schema of the heartbeat
// on a freshly initialized member, without leaving a trace in its history, and
// drops every other root and anonymous account. It is idempotent, so that a
// crash in the middle is repaired by another call, and puts super_read_only
// back. It fails with ErrHistory on a member that has transactions: accounts
// of a running pair are changed with SetPassword, which replicates.
//
// The handle's own password must answer for root both before and after: the
// root account gets its password last, and sessions that are open stay.
func (s *Server) CreateAccounts(ctx context.Context, passwords Passwords, app AppAccount) error {
	return s.createAccounts(ctx, passwords, app)
}

// SetPassword gives an account a new password and keeps the old one valid
// beside it until DiscardOldPassword. It replicates, so it belongs on the open
// primary: ErrReadOnly elsewhere. It is not idempotent: called twice with new
// secrets, the first old one is lost.
func (s *Server) SetPassword(ctx context.Context, account Account, password Secret) error {
	return s.setPassword(ctx, account, password)
}

// DiscardOldPassword ends the validity of the old password. It is idempotent
// and replicates.
func (s *Server) DiscardOldPassword(ctx context.Context, account Account) error {
	return s.discardOldPassword(ctx, account)
}

// FormerPassword is an account that takes the password before its last one as well.
type FormerPassword struct {
	Account
	// ChangedAt is when its password was changed, by the clock of the member that was open
	// then, and Age how long that is ago by this member's.
	ChangedAt time.Time
	Age       time.Duration
}

// FormerPasswords lists the accounts whose former password is valid, by what mysqld itself
// keeps: a member that becomes primary finds what the former one left. It is idempotent.
func (s *Server) FormerPasswords(ctx context.Context) ([]FormerPassword, error) {
	return s.formerPasswords(ctx)
}

// HasPassword reports whether an account's present password is this one, and not its former
// one: by the hash that mysqld keeps, without a login. It is false for an account whose
// plugin is not caching_sha2_password, and ErrNoSuchObject for one that is not there. It
// takes some milliseconds of CPU.
func (s *Server) HasPassword(ctx context.Context, account Account, password Secret) (bool, error) {
	return s.hasPassword(ctx, account, password)
}

// RequireTLS has an account log in by TLS only, or also without. One that needs a certificate,
// a cipher or a subject, and one that is not there, is left alone. It replicates, so it belongs
// on the open primary: ErrReadOnly elsewhere. It is idempotent and reports whether it changed
// the account.
func (s *Server) RequireTLS(ctx context.Context, account Account, required bool) (changed bool, err error) {
	return s.requireTLS(ctx, account, required)
}

// PrivilegedAccounts lists accounts whose rights pass read_only or offline
// mode, without MySQL's own locked ones, root@localhost and those of dbpair.
// Rights that come through roles count.
func (s *Server) PrivilegedAccounts(ctx context.Context) ([]PrivilegedAccount, error) {
	return s.privilegedAccounts(ctx)
}
