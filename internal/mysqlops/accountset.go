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

// accountSpec is one row of the table of accounts.
type accountSpec struct {
	account  Account
	password Secret
	// require is what its clients have to present, as it follows REQUIRE.
	require string
	// sessions is the most that it may have at once; 0 for no limit.
	sessions int
	// grants are all that it may do.
	grants []grant
}

const (
	requireNothing     = "NONE"
	requireTLS         = "SSL"
	requireCertificate = "X509"
	requireSubject     = "SUBJECT "
)

// JobSubject is the subject of the certificate of the Jobs that compare and repair, in the
// form in which mysqld compares it.
const JobSubject = "/O=dbpair/CN=dbpair-job"

// compareRights: without TRIGGER, EVENT, SHOW_ROUTINE and SHOW VIEW the definitions are
// not shown; without PROCESS the figures that the throttle goes by are not.
var compareRights = []string{
	"SELECT", "LOCK TABLES", "SHOW VIEW", "TRIGGER", "EVENT", "SHOW_ROUTINE", "PROCESS", "REPLICATION CLIENT", "SERVICE_CONNECTION_ADMIN",
}

// monitorTables are the tables of performance_schema with counters and the state of
// replication. None holds the text of a statement: literals in it are an application's data.
var monitorTables = []string{
	"replication_connection_status", "replication_applier_status", "replication_applier_status_by_coordinator",
	"replication_applier_status_by_worker", "events_waits_summary_global_by_event_name", "file_summary_by_event_name",
	"memory_summary_global_by_event_name", "table_io_waits_summary_by_table", "table_lock_waits_summary_by_table",
}

// monitorSessions bounds the sessions of an account that needs no certificate and reaches
// the admin port, where max_connections does not count.
const monitorSessions = 10

func monitorGrants() []grant {
	grants := []grant{{object: everywhere, rights: []string{"REPLICATION CLIENT", "SERVICE_CONNECTION_ADMIN"}}}
	for _, table := range monitorTables {
		grants = append(grants, grant{object: "`performance_schema`.`" + table + "`", rights: []string{"SELECT"}})
	}
	return grants
}

// errEmptyPassword: an account without a password is never made.
var errEmptyPassword = fmt.Errorf("%w: empty password", ErrInvalid)

// accountSpecs is the table: each right is here because the named use fails
// without it, and a test tries what must not work.
func accountSpecs(passwords Passwords, app AppAccount) ([]accountSpec, error) {
	schema, err := quoteName(app.Schema)
	if err != nil {
		return nil, fmt.Errorf("schema of the application: %w", err)
	}
	// In grants on a schema, _ and % are patterns.
	schema = strings.NewReplacer("_", `\_`, "%", `\%`).Replace(schema)
	jobs := requireSubject + "'" + JobSubject + "'"
	return []accountSpec{
		{
			// Reads the binlog, over the admin port: the peer, and the archiver, which also asks for the
			// state of the channel.
			account:  Account{UserReplication, "%"},
			password: passwords.Replication,
			require:  requireCertificate,
			grants:   []grant{{everywhere, []string{"REPLICATION SLAVE", "REPLICATION CLIENT", "SERVICE_CONNECTION_ADMIN", "CONNECTION_ADMIN"}}},
		},
		{
			// Copies the whole data directory, over the admin port.
			account:  Account{UserClone, "%"},
			password: passwords.Clone,
			require:  requireCertificate,
			grants:   []grant{{everywhere, []string{"BACKUP_ADMIN", "SERVICE_CONNECTION_ADMIN", "CONNECTION_ADMIN"}}},
		},
		{
			// Reads counters, over the admin port.
			account:  Account{UserMonitor, "%"},
			password: passwords.Monitor,
			require:  requireTLS,
			sessions: monitorSessions,
			grants:   monitorGrants(),
		},
		{
			// Reads every table and definition on both members, over the admin port.
			account:  Account{UserChecksum, "%"},
			password: passwords.Checksum,
			require:  jobs,
			grants:   []grant{{everywhere, compareRights}},
		},
		{
			// Writes the rows of one table while GrantRepair says so: with INSERT on
			// everything it could write mysql.user.
			account:  Account{UserRepair, "%"},
			password: passwords.Repair,
			require:  jobs,
			grants:   []grant{{everywhere, []string{"SELECT", "CREATE TEMPORARY TABLES", "REPLICATION CLIENT", "SERVICE_CONNECTION_ADMIN"}}},
		},
		{
			account:  Account{app.User, "%"},
			password: passwords.App,
			require:  requireTLS,
			grants:   []grant{{schema + ".*", []string{"ALL"}}},
		},
	}, nil
}

func (s *Server) createAccounts(ctx context.Context, passwords Passwords, app AppAccount) error {
	const operation = "create accounts"
	app = app.withDefaults()
	if passwords.Root.IsZero() {
		return wrap(operation, errEmptyPassword)
	}
	specs, err := accountSpecs(passwords, app)
	if err != nil {
		return wrap(operation, err)
	}
	for _, spec := range specs {
		if spec.password.IsZero() {
			return wrap(operation, errEmptyPassword)
		}
	}
	return wrapSecret(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var executed string
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&executed); err != nil {
			return err
		}
		if executed != "" {
			return ErrHistory
		}
		return unlogged(ctx, conn, s.cfg.Timeouts.Change, func() error {
			return writeAccounts(ctx, conn, specs, passwords.Root, app)
		})
	}))
}

// unlogged runs fn with super_read_only and this session's binlog off, and
// puts both back whatever happens; read_only stays on throughout. A session
// that cannot be put right is not given back to the pool.
func unlogged(ctx context.Context, conn *sql.Conn, limit time.Duration, fn func() error) error {
	var superReadOnly bool
	if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.super_read_only").Scan(&superReadOnly); err != nil {
		return err
	}
	if err := execEach(ctx, conn, "SET SESSION sql_log_bin = OFF", "SET GLOBAL super_read_only = OFF"); err != nil {
		return err
	}
	err := fn()
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	undo := []string{"SET SESSION sql_log_bin = ON"}
	if superReadOnly {
		undo = append(undo, "SET GLOBAL super_read_only = ON")
	}
	return errors.Join(err, execEach(back, conn, undo...))
}

func writeAccounts(ctx context.Context, conn *sql.Conn, specs []accountSpec, root Secret, app AppAccount) error {
	if err := dropStrayAccounts(ctx, conn); err != nil {
		return err
	}
	schema, err := quoteName(app.Schema)
	if err != nil {
		return err
	}
	if err := execEach(ctx, conn, "CREATE DATABASE IF NOT EXISTS "+schema,
		"CREATE DATABASE IF NOT EXISTS `"+SchemaOwn+"`", heartbeatTable); err != nil {
		return err
	}
	for _, spec := range specs {
		if err := writeAccount(ctx, conn, spec); err != nil {
			return err
		}
	}
	// Last, so that until everything is there a new agent can log in without
	// a password and do it again.
	return identify(ctx, conn, "ALTER USER", Account{UserRoot, "localhost"}, root, "")
}

func dropStrayAccounts(ctx context.Context, conn *sql.Conn) error {
	stray, err := accountsOf(ctx, conn, "SELECT User, Host FROM mysql.user WHERE User = '' OR User = ? AND Host <> 'localhost'", UserRoot)
	if err != nil {
		return err
	}
	return dropAccounts(ctx, conn, stray)
}

func writeAccount(ctx context.Context, conn *sql.Conn, spec accountSpec) error {
	name, err := spec.account.quoted()
	if err != nil {
		return err
	}
	if err := execEach(ctx, conn, "CREATE USER IF NOT EXISTS "+name+spec.options(), "REVOKE ALL, GRANT OPTION FROM "+name); err != nil {
		return err
	}
	if err := identify(ctx, conn, "ALTER USER", spec.account, spec.password, spec.options()); err != nil {
		return err
	}
	for _, g := range spec.grants {
		if err := execEach(ctx, conn, g.statement(name)); err != nil {
			return err
		}
	}
	return nil
}

func identify(ctx context.Context, conn *sql.Conn, verb string, account Account, password Secret, suffix string) error {
	name, err := account.quoted()
	if err != nil {
		return err
	}
	text, err := quote(password.Reveal())
	if err != nil {
		return fmt.Errorf("password of %s: %w", name, err)
	}
	_, err = conn.ExecContext(ctx, verb+" "+name+" IDENTIFIED BY "+text+suffix+neverExpires)
	return err
}

// neverExpires: an account of the pair whose password expired could not log in, whatever
// default_password_lifetime is, and with it the agent could not open or fence its mysqld.
const neverExpires = " PASSWORD EXPIRE NEVER"

func (a Account) quoted() (string, error) {
	user, err := quote(a.User)
	if err != nil {
		return "", err
	}
	host, err := quote(a.Host)
	if err != nil {
		return "", err
	}
	return user + "@" + host, nil
}

func (s *Server) setPassword(ctx context.Context, account Account, password Secret) error {
	const operation = "set password"
	if password.IsZero() {
		return wrap(operation, fmt.Errorf("%w: empty password", ErrInvalid))
	}
	return wrapSecret(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return identify(ctx, conn, "ALTER USER", account, password, " RETAIN CURRENT PASSWORD")
	}))
}

func (s *Server) discardOldPassword(ctx context.Context, account Account) error {
	const operation = "discard old password"
	name, err := account.quoted()
	if err != nil {
		return wrap(operation, err)
	}
	return s.execAll(ctx, operation, "ALTER USER "+name+" DISCARD OLD PASSWORD")
}

// passingRights are the rights that pass read_only, offline mode or the
// order of replication.
var passingRights = []string{
	"SUPER", "SYSTEM_VARIABLES_ADMIN", "CONNECTION_ADMIN", "REPLICATION_APPLIER", "REPLICATION_SLAVE_ADMIN",
	"BINLOG_ADMIN", "GROUP_REPLICATION_ADMIN", "PERSIST_RO_VARIABLES_ADMIN", "CLONE_ADMIN",
}

func (s *Server) privilegedAccounts(ctx context.Context) ([]PrivilegedAccount, error) {
	found := make(map[string]*PrivilegedAccount)
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, privilegedQuery())
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var account, right string
			var locked bool
			if err := rows.Scan(&account, &right, &locked); err != nil {
				return err
			}
			one := found[account]
			if one == nil {
				one = &PrivilegedAccount{Account: account, Locked: locked}
				found[account] = one
			}
			if !slices.Contains(one.Rights, right) {
				one.Rights = append(one.Rights, right)
			}
			return nil
		})
	})
	list := make([]PrivilegedAccount, 0, len(found))
	for _, one := range found {
		slices.Sort(one.Rights)
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b PrivilegedAccount) int { return strings.Compare(a.Account, b.Account) })
	return list, wrap("list privileged accounts", err)
}

// mandatory is true for an account m that mandatory_roles names, with or without a host
// and quotation marks.
const mandatory = `(FIND_IN_SET(CONCAT(m.User, '@', m.Host), REGEXP_REPLACE(@@GLOBAL.mandatory_roles, '[` + "`" + `''" ]', '')) > 0
		OR m.Host = '%' AND FIND_IN_SET(m.User, REGEXP_REPLACE(@@GLOBAL.mandatory_roles, '[` + "`" + `''" ]', '')) > 0)`

// privilegedQuery walks role grants down to every right. Roles count whether or not they
// are default: one statement of the client sets them. A mandatory role, which may be any
// account, counts as granted to everyone.
func privilegedQuery() string {
	quoted := make([]string, len(passingRights))
	for i, right := range passingRights {
		quoted[i] = "'" + right + "'"
	}
	own := make([]string, len(ownAccounts))
	for i, user := range ownAccounts {
		own[i] = "'" + user + "'"
	}
	return `WITH RECURSIVE reach (user, host, via_user, via_host) AS (
		SELECT User, Host, User, Host FROM mysql.user
		UNION DISTINCT
		SELECT u.User, u.Host, m.User, m.Host FROM mysql.user u JOIN mysql.user m ON ` + mandatory + `
		UNION DISTINCT
		SELECT r.user, r.host, e.FROM_USER, e.FROM_HOST FROM reach r
			JOIN mysql.role_edges e ON e.TO_USER = r.via_user AND e.TO_HOST = r.via_host
	), rights (user, host, held) AS (
		SELECT USER, HOST, PRIV FROM mysql.global_grants WHERE PRIV IN (` + strings.Join(quoted, ", ") + `)
		UNION ALL SELECT User, Host, 'SUPER' FROM mysql.user WHERE Super_priv = 'Y'
	)
	SELECT CONCAT('` + "`" + `', reach.user, '` + "`@`" + `', reach.host, '` + "`" + `'), rights.held, u.account_locked = 'Y'
	FROM reach JOIN rights ON rights.user = reach.via_user AND rights.host = reach.via_host
	JOIN mysql.user u ON u.User = reach.user AND u.Host = reach.host
	WHERE NOT (reach.user = '` + UserRoot + `' AND reach.host = 'localhost')
	AND NOT (reach.user LIKE 'mysql.%' AND u.account_locked = 'Y')
	AND reach.user NOT IN (` + strings.Join(own, ", ") + `)`
}
