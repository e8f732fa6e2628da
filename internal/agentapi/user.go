package agentapi

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// EnsureUserCommand makes an account for an application what it has to be on the open primary
// of the command's epoch, from where it replicates. It is idempotent, and takes back what was
// altered in mysqld.
type EnsureUserCommand struct {
	Command
	User     string `json:"user"`
	Password string `json:"password"`
	// Databases that are missing are made.
	Databases []string `json:"databases,omitempty"`
	// Grants are the rights on each of Databases, of UserGrants.
	Grants []string `json:"grants,omitempty"`
	// MaxConnections is the most sessions at once; 0 for no limit.
	MaxConnections int  `json:"maxConnections,omitempty"`
	RequireTLS     bool `json:"requireTLS,omitempty"`
	// Replication makes it an account of a reader of the binary logs: it may read them, logs in at
	// the port for such readers only, and has no rights but ReaderGrants on Databases. It goes to
	// PathEnsureReader, which an agent of an earlier version does not have.
	Replication bool `json:"replication,omitempty"`
}

// RemoveUserCommand locks or drops an account that EnsureUserCommand made, and ends its
// sessions. It is idempotent, and leaves alone what is not there or was made by someone else.
type RemoveUserCommand struct {
	Command
	User string `json:"user"`
	Drop bool   `json:"drop,omitempty"`
}

// UserReply answers both commands when everything is done.
type UserReply struct {
	RequestID string `json:"requestID"`
	// Changed says, one sentence each, what was not as it had to be; empty for nothing.
	Changed []string `json:"changed,omitempty"`
	// FormerPasswordUntil is until when the former password is valid; absent when it is not.
	FormerPasswordUntil *time.Time `json:"formerPasswordUntil,omitempty"`
}

// UserGrants are the rights on a schema that an application may be given; GrantAll are all of
// these.
var UserGrants = []string{
	"SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "SHOW VIEW", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "CREATE VIEW",
	"CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER", "EVENT", "CREATE TEMPORARY TABLES", "LOCK TABLES",
}

// ReaderGrants are those that a reader of the binary logs may be given. LOCK TABLES is not among
// them: a lock on the passive holds up its applier.
var ReaderGrants = []string{"SELECT", "SHOW VIEW"}

// GrantAll stands for all of UserGrants.
const GrantAll = "ALL"

// SystemSchemas are those of MySQL and of the pair itself.
var SystemSchemas = []string{"mysql", "sys", "information_schema", "performance_schema", "dbpair"}

// IsSystemUser reports whether an account is MySQL's or one of the pair's own.
func IsSystemUser(user string) bool {
	return user == "" || user == "root" || strings.HasPrefix(user, "mysql.") || strings.HasPrefix(user, "dbpair")
}

// Check returns an error that names the first field with a value that no application may have.
func (c EnsureUserCommand) Check() error {
	if IsSystemUser(c.User) {
		return fmt.Errorf("user %q is an account of MySQL or of the pair", c.User)
	}
	if c.Password == "" {
		return fmt.Errorf("user %q: the password is empty", c.User)
	}
	for _, name := range c.Databases {
		if slices.Contains(SystemSchemas, strings.ToLower(name)) {
			return fmt.Errorf("databases: %s is a schema of MySQL or of the pair", name)
		}
	}
	for _, right := range c.Grants {
		if right != GrantAll && !slices.Contains(UserGrants, right) {
			return fmt.Errorf("grants: %s is not for applications", right)
		}
		if c.Replication && !slices.Contains(ReaderGrants, right) {
			return fmt.Errorf("grants: %s is not for readers of the binary logs", right)
		}
	}
	if c.MaxConnections < 0 {
		return fmt.Errorf("maxConnections: %d is below 0", c.MaxConnections)
	}
	return nil
}
