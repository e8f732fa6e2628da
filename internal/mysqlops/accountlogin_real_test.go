package mysqlops_test

import (
	"database/sql"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// opens reports an error if an account does not get in over TLS.
func opens(t *testing.T, member *mysqldtest.Instance, user string, password mysqlops.Secret, admin bool) {
	t.Helper()
	db := member.Client(user, password, admin)
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("%q does not open %s: %v", password.Reveal(), user, err)
	}
}

// servesPlain reports whether an account gets in without TLS.
func servesPlain(t *testing.T, member *mysqldtest.Instance, user string, password mysqlops.Secret) bool {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User = user
	cfg.Passwd = password.Reveal()
	cfg.Net = "tcp"
	cfg.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(member.Member.Port))
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.PingContext(t.Context()) == nil
}

// What is compared are hashes that mysqld made, of passwords of every length class of the digest.
func TestThePresentPasswordIsToldFromTheFormerOne(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	account := mysqlops.Account{User: mysqlops.UserMonitor, Host: "%"}
	member.Open(false)
	former := mysqldtest.Passwords.Monitor
	passwords := []string{`it's "new" \ and % long`, "x", strings.Repeat("0123456789abcdef", 4), "Zürich 東京 🙂", strings.Repeat("z", 255)}
	for _, text := range passwords {
		next := mysqlops.NewSecret(text)
		if has, err := member.Ops.HasPassword(ctx, account, next); has || err != nil {
			t.Errorf("before the change to %q: has it: %t, %v", text, has, err)
		}
		if err := member.Ops.SetPassword(ctx, account, next); err != nil {
			t.Fatal(err)
		}
		for password, want := range map[mysqlops.Secret]bool{next: true, former: false} {
			if has, err := member.Ops.HasPassword(ctx, account, password); has != want || err != nil {
				t.Errorf("after the change to %q: has %q: %t, %v", text, password.Reveal(), has, err)
			}
			opens(t, member, account.User, password, true)
		}
		former = next
	}
	list, err := member.Ops.FormerPasswords(ctx)
	if err != nil || len(list) != 1 || list[0].Account != account || list[0].Age < 0 || list[0].ChangedAt.IsZero() {
		t.Errorf("former passwords: %+v, %v", list, err)
	}
	if err := member.Ops.DiscardOldPassword(ctx, account); err != nil {
		t.Fatal(err)
	}
	if list, err := member.Ops.FormerPasswords(ctx); err != nil || len(list) != 0 {
		t.Errorf("former passwords after the discard: %+v, %v", list, err)
	}
	_, err = member.Ops.HasPassword(ctx, mysqlops.Account{User: "nobody", Host: "%"}, former)
	if !errors.Is(err, mysqlops.ErrNoSuchObject) {
		t.Errorf("of an account that is not there: %v, want ErrNoSuchObject", err)
	}
}

func TestAnAccountRequiresTLSOrNot(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	ctx := t.Context()
	app := mysqlops.Account{User: mysqlops.UserApp, Host: "%"}
	if _, err := member.Ops.RequireTLS(ctx, app, false); !errors.Is(err, mysqlops.ErrReadOnly) {
		t.Errorf("on a closed member: %v, want ErrReadOnly", err)
	}
	member.Open(false)
	for _, step := range []struct{ required, changed bool }{{true, false}, {false, true}, {false, false}, {true, true}} {
		changed, err := member.Ops.RequireTLS(ctx, app, step.required)
		if err != nil || changed != step.changed {
			t.Errorf("TLS required %t: changed %t, %v", step.required, changed, err)
		}
		if served := servesPlain(t, member, app.User, mysqldtest.Passwords.App); served == step.required {
			t.Errorf("TLS required %t: a client without it is served: %t", step.required, served)
		}
		opens(t, member, app.User, mysqldtest.Passwords.App, false)
	}
	certified := mysqlops.Account{User: mysqlops.UserClone, Host: "%"}
	if changed, err := member.Ops.RequireTLS(ctx, certified, false); err != nil || changed {
		t.Errorf("an account that needs a certificate: changed %t, %v", changed, err)
	}
	if changed, err := member.Ops.RequireTLS(ctx, mysqlops.Account{User: "nobody", Host: "%"}, true); err != nil || changed {
		t.Errorf("an account that is not there: changed %t, %v", changed, err)
	}
}
