package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// RootScript is what mysqld has to run as its init_file to have root@localhost created again with
// this password, whatever was known of it: for data that was copied from a server outside of
// the pair. It has the password in it. It leaves no trace in the history.
func RootScript(password Secret) (string, error) {
	const operation = "script that creates root again"
	if password.IsZero() {
		return "", wrap(operation, errEmptyPassword)
	}
	name, err := Account{UserRoot, "localhost"}.quoted()
	if err != nil {
		return "", wrap(operation, err)
	}
	text, err := quote(password.Reveal())
	if err != nil {
		return "", fmt.Errorf("%s: password: %w", operation, err)
	}
	return strings.Join([]string{
		"SET SESSION sql_log_bin = OFF;",
		"DROP USER IF EXISTS " + name + ";",
		"CREATE USER " + name + " IDENTIFIED BY " + text + neverExpires + ";",
		"GRANT ALL ON *.* TO " + name + " WITH GRANT OPTION;",
		"GRANT PROXY ON ''@'' TO " + name + " WITH GRANT OPTION;",
	}, "\n") + "\n", nil
}

// RootFlags are what a mysqld needs in addition to run that script from a file on data that was
// copied from a server outside of the pair: nobody can reach it but over the socket, and rules
// for passwords that were copied with it do not refuse those of the pair.
func RootFlags(script string) []string {
	flags := []string{"--init-file=" + script, "--skip-networking"}
	for _, rule := range []string{"policy=LOW", "length=0", "mixed_case_count=0", "number_count=0", "special_char_count=0"} {
		flags = append(flags, "--loose-validate-password."+rule, "--loose-validate-password_"+rule)
	}
	return flags
}

// RenewAccounts creates the accounts of a pair again on data that was copied from a server outside
// of it, without leaving a trace in the history: every account whose user has the name of one of
// the pair's goes with all its rights, whatever its host, and so does every anonymous one. Other
// accounts stay as they are. It is idempotent. root@localhost has to have its password already,
// by RootScript.
func (s *Server) RenewAccounts(ctx context.Context, passwords Passwords, app AppAccount) error {
	const operation = "create accounts again"
	app = app.withDefaults()
	specs, err := accountSpecs(passwords, app)
	if err != nil {
		return wrap(operation, err)
	}
	for _, spec := range specs {
		if spec.password.IsZero() || passwords.Root.IsZero() {
			return wrap(operation, errEmptyPassword)
		}
	}
	return wrapSecret(operation, s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return unlogged(ctx, conn, s.cfg.Timeouts.Change, func() error {
			if err := dropNamesakes(ctx, conn, specs); err != nil {
				return err
			}
			return writeAccounts(ctx, conn, specs, passwords.Root, app)
		})
	}))
}

// dropNamesakes drops the accounts that have the users of these, on any host.
func dropNamesakes(ctx context.Context, conn *sql.Conn, specs []accountSpec) error {
	for _, spec := range specs {
		stray, err := accountsOf(ctx, conn, "SELECT User, Host FROM mysql.user WHERE User = ?", spec.account.User)
		if err != nil {
			return err
		}
		if err := dropAccounts(ctx, conn, stray); err != nil {
			return err
		}
	}
	return nil
}

// Accounts lists the accounts of this member as "user@host". It changes nothing.
func (s *Server) Accounts(ctx context.Context) (names []string, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		list, err := accountsOf(ctx, conn, "SELECT User, Host FROM mysql.user")
		for _, one := range list {
			names = append(names, one.User+"@"+one.Host)
		}
		return err
	})
	return names, wrap("list accounts", err)
}

func accountsOf(ctx context.Context, conn *sql.Conn, query string, args ...any) (list []Account, err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func() error {
		var one Account
		err := rows.Scan(&one.User, &one.Host)
		list = append(list, one)
		return err
	})
	return list, err
}

func dropAccounts(ctx context.Context, conn *sql.Conn, list []Account) error {
	for _, one := range list {
		name, err := one.quoted()
		if err != nil {
			return err
		}
		if err := execEach(ctx, conn, "DROP USER IF EXISTS "+name); err != nil {
			return err
		}
	}
	return nil
}
