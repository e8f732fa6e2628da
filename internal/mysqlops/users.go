package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReaderHost is where the accounts of readers of the binary logs log in from, and no other client can:
// the agent connects from it for those who come to its port for readers.
const ReaderHost = "127.0.33.7"

// User is an account of an application, from everywhere, or that of a reader of the binary logs. Who calls has checked that the account
// and the databases are not MySQL's, and that an application may have the rights.
type User struct {
	Name      string
	Password  Secret
	Databases []string
	// Rights on each of Databases.
	Rights []string
	// Sessions is the most that it may have at once; 0 for no limit.
	Sessions   int
	RequireTLS bool
	// ReadsLogs lets the account read the binary logs, and log in from ReaderHost only.
	ReadsLogs bool
}

// readerRights are what reads the binary logs needs everywhere.
var readerRights = []string{"REPLICATION SLAVE", "REPLICATION CLIENT"}

func (u User) account() Account {
	if u.ReadsLogs {
		return Account{User: u.Name, Host: ReaderHost}
	}
	return Account{User: u.Name, Host: "%"}
}

// UserChanges is what EnsureUser found and did.
type UserChanges struct {
	// Changed says, one sentence each, what was not as it had to be.
	Changed []string
	// FormerPasswordUntil is until when the former password is valid; zero when it is not.
	FormerPasswordUntil time.Time
}

// ErrNotManaged: an account of this name was made by someone else, who may need it as it is.
var ErrNotManaged = errors.New("the account was not made by dbpair")

// EnsureUser makes a user's account, and the databases that are missing, or makes an account that
// it made before what it has to be: rights, conditions of login and the password. A password
// that is replaced stays valid for overlap. Rights on routines, which mysqld gives to those who
// make them, are left alone. It replicates, so it belongs on the open primary: ErrReadOnly
// elsewhere. It is ErrNotManaged for an account that it did not make. It is idempotent, and what
// was done before an error is done by the next call.
func (s *Server) EnsureUser(ctx context.Context, u User, overlap time.Duration) (UserChanges, error) {
	return s.ensureUser(ctx, u, overlap)
}

// RemoveUser locks an account that EnsureUser made, or drops it, and ends its sessions; its
// databases stay. It reports whether there was one. It replicates and is idempotent.
func (s *Server) RemoveUser(ctx context.Context, name string, drop bool) (bool, error) {
	return s.removeUser(ctx, name, drop)
}

// managedMark is the attribute of accounts that EnsureUser made. It replicates with them.
const managedMark = `{"dbpair": "user"}`

const (
	// userPlugin is how users' passwords are kept: it has a former one beside the present one.
	userPlugin     = "caching_sha2_password"
	identifiedWith = " IDENTIFIED WITH " + userPlugin + " BY "
)

// userState is how the account of a user stands in mysqld.
type userState struct {
	accountState
	managed  bool
	locked   bool
	plugin   string
	password string // the hash
	// former: a former password is valid, for this long by now.
	former    bool
	changedAt time.Time
	age       time.Duration
	// excess are statements that take back what no specification gives: roles, the right to
	// grant, and rights on columns.
	excess []string
}

func (u User) spec() (accountSpec, error) {
	spec := accountSpec{
		account:  u.account(),
		password: u.Password,
		require:  requireNothing,
		sessions: u.Sessions,
	}
	if u.RequireTLS {
		spec.require = requireTLS
	}
	if u.Password.IsZero() {
		return spec, errEmptyPassword
	}
	if u.ReadsLogs {
		spec.grants = append(spec.grants, grant{object: everywhere, rights: readerRights})
	}
	for _, name := range u.Databases {
		schema, err := quoteName(name)
		if err != nil {
			return spec, fmt.Errorf("database %q: %w", name, err)
		}
		if len(u.Rights) > 0 {
			spec.grants = append(spec.grants, grant{object: escapePattern(schema) + ".*", rights: u.Rights})
		}
	}
	return spec, nil
}

// escapePattern makes a quoted name the one schema in a grant, where _ and % are patterns.
func escapePattern(schema string) string {
	return strings.NewReplacer("_", `\_`, "%", `\%`).Replace(schema)
}

func (s *Server) ensureUser(ctx context.Context, u User, overlap time.Duration) (UserChanges, error) {
	const operation = "make a user what it has to be"
	var done UserChanges
	spec, err := u.spec()
	if err != nil {
		return done, wrap(operation, err)
	}
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		is, there, err := readUser(ctx, conn, spec.account)
		if err != nil {
			return err
		}
		if there && !is.managed {
			return ErrNotManaged
		}
		if err := refuseNamesakes(ctx, conn, spec.account); err != nil {
			return err
		}
		if err := makeDatabases(ctx, conn, u.Databases, &done); err != nil {
			return err
		}
		if !there {
			done.Changed = append(done.Changed, "the account was made")
			return createUser(ctx, conn, spec)
		}
		return changeUser(ctx, conn, spec, is, overlap, &done)
	})
	if errorNumber(err) != 0 {
		return done, wrapSecret(operation, err)
	}
	return done, wrap(operation, err)
}

// refuseNamesakes: which of two accounts of one name a client gets depends on where it comes from.
func refuseNamesakes(ctx context.Context, conn *sql.Conn, account Account) error {
	var n int
	const query = "SELECT COUNT(*) FROM mysql.user WHERE User = ? AND Host IN ('%', ?) AND Host <> ? AND account_locked = 'N'"
	err := conn.QueryRowContext(ctx, query, account.User, ReaderHost, account.Host).Scan(&n)
	if err == nil && n > 0 {
		err = ErrNotManaged
	}
	return err
}

// makeDatabases makes those that are missing.
func makeDatabases(ctx context.Context, conn *sql.Conn, databases []string, done *UserChanges) error {
	for _, name := range databases {
		var n int
		err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", name).Scan(&n)
		if err != nil || n > 0 {
			if err != nil {
				return err
			}
			continue
		}
		schema, err := quoteName(name)
		if err != nil {
			return err
		}
		if err := execEach(ctx, conn, "CREATE DATABASE IF NOT EXISTS "+schema); err != nil {
			return err
		}
		done.Changed = append(done.Changed, "database "+name+" was made")
	}
	return nil
}

func createUser(ctx context.Context, conn *sql.Conn, spec accountSpec) error {
	const mark = " ATTRIBUTE '" + managedMark + "'"
	name, err := spec.account.quoted()
	if err != nil {
		return err
	}
	text, err := quote(spec.password.Reveal())
	if err != nil {
		return fmt.Errorf("password of %s: %w", name, err)
	}
	statements := []string{"CREATE USER " + name + identifiedWith + text + spec.options() + neverExpires + mark}
	for _, g := range spec.grants {
		statements = append(statements, g.statement(name))
	}
	return execEach(ctx, conn, statements...)
}

// changeUser changes what differs.
func changeUser(ctx context.Context, conn *sql.Conn, spec accountSpec, is userState, overlap time.Duration, done *UserChanges) error {
	name, err := spec.account.quoted()
	if err != nil {
		return err
	}
	if err := changeUserPassword(ctx, conn, spec, &is, done); err != nil {
		return err
	}
	if statements := append(spec.changes(is.accountState, name), is.excess...); len(statements) > 0 {
		done.Changed = append(done.Changed, statements...)
		if err := execEach(ctx, conn, statements...); err != nil {
			return err
		}
	}
	if is.locked {
		done.Changed = append(done.Changed, "the account was unlocked")
		if err := execEach(ctx, conn, "ALTER USER "+name+" ACCOUNT UNLOCK"); err != nil {
			return err
		}
	}
	if is.former && is.age >= overlap {
		done.Changed = append(done.Changed, "the former password was discarded")
		return execEach(ctx, conn, "ALTER USER "+name+" DISCARD OLD PASSWORD")
	}
	if is.former {
		done.FormerPasswordUntil = is.changedAt.Add(overlap)
	}
	return nil
}

// changeUserPassword gives the account its password if it has another one. That of a locked
// account, which nobody uses, does not stay valid.
func changeUserPassword(ctx context.Context, conn *sql.Conn, spec accountSpec, is *userState, done *UserChanges) error {
	hashed := is.plugin == userPlugin
	if hashed {
		has, err := isHashOf(is.password, spec.password)
		if has || err != nil {
			return err
		}
	}
	name, err := spec.account.quoted()
	if err != nil {
		return err
	}
	text, err := quote(spec.password.Reveal())
	if err != nil {
		return fmt.Errorf("password of %s: %w", name, err)
	}
	statement := "ALTER USER " + name + identifiedWith + text
	if hashed && !is.locked {
		statement += " RETAIN CURRENT PASSWORD"
	}
	if err := execEach(ctx, conn, statement); err != nil {
		return err
	}
	done.Changed = append(done.Changed, "the password was changed")
	now, _, err := readUser(ctx, conn, spec.account)
	is.former = now.former
	is.changedAt = now.changedAt
	is.age = now.age
	return err
}

// readUser reads an account; there is false when mysqld has none of the name.
func readUser(ctx context.Context, conn *sql.Conn, account Account) (is userState, there bool, err error) {
	is.accountState, there, err = readAccount(ctx, conn, account)
	if err != nil || !there {
		return is, there, err
	}
	const query = `SELECT COALESCE(User_attributes->>'$.metadata.dbpair', '') = 'user', account_locked = 'Y', plugin, authentication_string,
		User_attributes->'$.additional_password' IS NOT NULL, UNIX_TIMESTAMP(password_last_changed),
		TIMESTAMPDIFF(SECOND, password_last_changed, NOW())
		FROM mysql.user WHERE User = ? AND Host = ?`
	var changed, age int64
	err = conn.QueryRowContext(ctx, query, account.User, account.Host).Scan(&is.managed, &is.locked, &is.plugin, &is.password,
		&is.former, &changed, &age)
	if err != nil {
		return is, true, err
	}
	is.changedAt = time.Unix(changed, 0).UTC()
	is.age = time.Duration(age) * time.Second
	is.excess, err = readExcess(ctx, conn, account)
	return is, true, err
}

// readExcess finds what accounts of users never have.
func readExcess(ctx context.Context, conn *sql.Conn, account Account) ([]string, error) {
	name, err := account.quoted()
	if err != nil {
		return nil, err
	}
	var statements []string
	const rolesQuery = "SELECT FROM_USER, FROM_HOST FROM mysql.role_edges WHERE TO_USER = ? AND TO_HOST = ?"
	roles, err := accountsOf(ctx, conn, rolesQuery, account.User, account.Host)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		quoted, err := role.quoted()
		if err != nil {
			return nil, err
		}
		statements = append(statements, "REVOKE "+quoted+" FROM "+name)
	}
	rows, err := conn.QueryContext(ctx, `SELECT DISTINCT 'GRANT OPTION', NULL, NULL, NULL FROM information_schema.USER_PRIVILEGES
			WHERE GRANTEE = ? AND IS_GRANTABLE = 'YES'
		UNION SELECT 'GRANT OPTION', TABLE_SCHEMA, NULL, NULL FROM information_schema.SCHEMA_PRIVILEGES
			WHERE GRANTEE = ? AND IS_GRANTABLE = 'YES'
		UNION SELECT 'GRANT OPTION', TABLE_SCHEMA, TABLE_NAME, NULL FROM information_schema.TABLE_PRIVILEGES
			WHERE GRANTEE = ? AND IS_GRANTABLE = 'YES'
		UNION SELECT PRIVILEGE_TYPE, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMN_PRIVILEGES WHERE GRANTEE = ?`,
		name, name, name, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	err = eachRow(rows, func() error {
		var right string
		var schema, table, column sql.NullString
		if err := rows.Scan(&right, &schema, &table, &column); err != nil {
			return err
		}
		object, err := quotedObject(schema, table)
		if err != nil {
			return err
		}
		if column.Valid {
			quoted, err := quoteName(column.String)
			if err != nil {
				return err
			}
			right += " (" + quoted + ")"
		}
		statements = append(statements, "REVOKE IF EXISTS "+right+" ON "+object+" FROM "+name)
		return nil
	})
	slices.Sort(statements)
	return statements, err
}

func (s *Server) removeUser(ctx context.Context, user string, drop bool) (bool, error) {
	const operation = "remove a user"
	found := false
	err := s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, host := range []string{"%", ReaderHost} {
			there, err := removeAccount(ctx, conn, Account{User: user, Host: host}, drop)
			if err != nil {
				return err
			}
			found = found || there
		}
		if !found {
			return nil
		}
		all, err := listSessions(ctx, conn, s.nonce)
		if err != nil {
			return err
		}
		_, err = killSessions(ctx, conn, choose(all, func(one session) bool { return one.user == user }))
		return err
	})
	return found, wrap(operation, err)
}

// removeAccount reports whether there is such an account that EnsureUser made.
func removeAccount(ctx context.Context, conn *sql.Conn, account Account, drop bool) (bool, error) {
	name, err := account.quoted()
	if err != nil {
		return false, err
	}
	is, there, err := readUser(ctx, conn, account)
	if err != nil || !there || !is.managed {
		return false, err
	}
	statement := "ALTER USER " + name + " ACCOUNT LOCK"
	if drop {
		statement = "DROP USER IF EXISTS " + name
	}
	if !drop && is.locked {
		return true, nil
	}
	return true, execEach(ctx, conn, statement)
}
