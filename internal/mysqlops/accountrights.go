package mysqlops

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// everywhere is the object of rights that are not bound to a schema.
const everywhere = "*.*"

// grant is what an account may do with one object: everywhere, or the quoted name of a
// schema's tables or of one table.
type grant struct {
	object string
	rights []string
}

func (g grant) statement(name string) string {
	return "GRANT " + strings.Join(g.rights, ", ") + " ON " + g.object + " TO " + name
}

// right is one right on one object.
type right struct {
	object string
	name   string
}

// accountState is how an account stands in mysqld.
type accountState struct {
	// require is what its clients have to present, as it follows REQUIRE.
	require string
	// sessions is the most that it may have at once; 0 for no limit.
	sessions int
	rights   map[right]bool
}

// AccountChanges names the accounts that EnsureAccounts wrote, by user.
type AccountChanges struct {
	// Made are those that were missing; they have the passwords that were given.
	Made []string
	// Changed are those that had other rights, or other conditions of login.
	Changed []string
}

// EnsureAccounts makes those accounts of dbpair that are missing on a running pair, and
// gives those that exist the rights and the conditions of login that this version gives
// them, as after an upgrade of the agent. Passwords of accounts that exist stay. After each
// of its statements every account can do what it is for, so that no session fails meanwhile.
// It replicates, so it belongs on the open primary: ErrReadOnly elsewhere. It is idempotent,
// and what was done before an error is in the result. The application's account is its
// owner's.
func (s *Server) EnsureAccounts(ctx context.Context, passwords Passwords, app AppAccount) (AccountChanges, error) {
	const operation = "make the accounts as they have to be"
	var done AccountChanges
	app = app.withDefaults()
	specs, err := accountSpecs(passwords, app)
	if err != nil {
		return done, wrap(operation, err)
	}
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, spec := range specs {
			if spec.account.User == app.User {
				continue // its owner may have renamed or dropped it
			}
			if err := ensureAccount(ctx, conn, spec, &done); err != nil {
				return err
			}
		}
		return nil
	})
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return done, wrapSecret(operation, err)
	}
	return done, wrap(operation, err)
}

func ensureAccount(ctx context.Context, conn *sql.Conn, spec accountSpec, done *AccountChanges) error {
	is, there, err := readAccount(ctx, conn, spec.account)
	if err != nil {
		return err
	}
	if !there {
		if spec.password.IsZero() {
			return errEmptyPassword
		}
		if err := writeAccount(ctx, conn, spec); err != nil {
			return err
		}
		done.Made = append(done.Made, spec.account.User)
		return nil
	}
	name, err := spec.account.quoted()
	if err != nil {
		return err
	}
	statements := spec.changes(is, name)
	if len(statements) == 0 {
		return nil
	}
	done.Changed = append(done.Changed, spec.account.User)
	return execEach(ctx, conn, statements...)
}

// readAccount reads an account; there is false when mysqld has none of the name.
func readAccount(ctx context.Context, conn *sql.Conn, account Account) (is accountState, there bool, err error) {
	var kind, subject string
	err = conn.QueryRowContext(ctx,
		"SELECT ssl_type, CONVERT(x509_subject USING utf8mb4), max_user_connections FROM mysql.user WHERE User = ? AND Host = ?",
		account.User, account.Host).Scan(&kind, &subject, &is.sessions)
	if errors.Is(err, sql.ErrNoRows) {
		return is, false, nil
	}
	if err != nil {
		return is, false, err
	}
	if is.require, err = requirement(kind, subject); err != nil {
		return is, true, err
	}
	is.rights, err = readRights(ctx, conn, account)
	return is, true, err
}

// requirement is what follows REQUIRE for an account with these columns of mysql.user.
func requirement(kind, subject string) (string, error) {
	switch kind {
	case "":
		return requireNothing, nil
	case "ANY":
		return requireTLS, nil
	case "X509":
		return requireCertificate, nil
	}
	text, err := quote(subject)
	return requireSubject + text, err
}

func readRights(ctx context.Context, conn *sql.Conn, account Account) (map[right]bool, error) {
	grantee, err := account.quoted()
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, `SELECT PRIVILEGE_TYPE, NULL, NULL FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ?
		UNION ALL SELECT PRIVILEGE_TYPE, TABLE_SCHEMA, NULL FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = ?
		UNION ALL SELECT PRIVILEGE_TYPE, TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE = ?`,
		grantee, grantee, grantee)
	if err != nil {
		return nil, err
	}
	rights := map[right]bool{}
	return rights, eachRow(rows, func() error {
		var name string
		var schema, table sql.NullString
		if err := rows.Scan(&name, &schema, &table); err != nil {
			return err
		}
		if name == "USAGE" { // no right at all
			return nil
		}
		object, err := quotedObject(schema, table)
		rights[right{object: object, name: name}] = true
		return err
	})
}

func quotedObject(schema, table sql.NullString) (string, error) {
	if !schema.Valid {
		return everywhere, nil
	}
	object, err := quoteName(schema.String)
	if err != nil || !table.Valid {
		return object + ".*", err
	}
	name, err := quoteName(table.String)
	return object + "." + name, err
}

// changes are the statements that make an account what its specification says, in an order
// in which it can do what it is for after each of them. Rights on a table that a repair was
// lent are left alone.
func (spec accountSpec) changes(is accountState, name string) []string {
	wanted := map[right]bool{}
	var statements []string
	for _, g := range spec.grants {
		missing := grant{object: g.object}
		for _, r := range g.rights {
			one := right{object: g.object, name: r}
			wanted[one] = true
			if !is.rights[one] {
				missing.rights = append(missing.rights, r)
			}
		}
		if len(missing.rights) > 0 {
			statements = append(statements, missing.statement(name))
		}
	}
	if is.require != spec.require || is.sessions != spec.sessions {
		statements = append(statements, "ALTER USER "+name+spec.options())
	}
	excess := slices.SortedFunc(maps.Keys(is.rights), func(a, b right) int {
		return cmp.Or(strings.Compare(a.object, b.object), strings.Compare(a.name, b.name))
	})
	for _, one := range excess {
		if !wanted[one] && !spec.lent(one) {
			statements = append(statements, "REVOKE IF EXISTS "+one.name+" ON "+one.object+" FROM "+name)
		}
	}
	return statements
}

// lent: what the primary's agent gives a repair for a while, and takes back itself.
func (spec accountSpec) lent(one right) bool {
	return spec.account.User == UserRepair && one.object != everywhere && (one.name == "INSERT" || one.name == "DELETE")
}

// options are what follows the account's name in CREATE USER and ALTER USER.
func (spec accountSpec) options() string {
	return fmt.Sprintf(" REQUIRE %s WITH MAX_USER_CONNECTIONS %d", spec.require, spec.sessions)
}
