//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestUsers: a user gets an account on both members and a Secret, reads its own writes on the passive, keeps its former password
// for the overlap, and is locked out when its object is deleted, while its data stays.
func TestUsers(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "users")
	p := s.readyPair("shop")
	s.shell(`kubectl -n %s apply -f - <<'END'
apiVersion: dbpair.io/v1alpha1
kind: DatabasePairUser
metadata: {name: reports}
spec: {pairRef: {name: shop}, user: reporter, databases: [reports], grants: [ALL]}
END`, s.namespace)
	s.shell("kubectl -n %s wait dbpu/reports --for=condition=Ready --timeout=120s", s.namespace)
	s.shell("kubectl -n %s get secret shop-user-reports -o jsonpath='{.data.dsn-go}'", s.namespace)
	s.sql(p, s.primary(p), "CREATE TABLE reports.t (id INT PRIMARY KEY); INSERT INTO reports.t VALUES (1)")
	locked := func(member, want string) error {
		return harness.Eventually(s.ctx, harness.Patience, "the account at "+member, func(context.Context) error {
			if got := s.sql(p, member, "SELECT account_locked FROM mysql.user WHERE User = 'reporter'"); got != want {
				return harness.NotYet("locked: %q", got)
			}
			return nil
		})
	}
	for _, member := range p.Members() {
		s.must(locked(member, "N"))
	}
	s.readsItsOwnWrites(p)
	s.refusesASecondObject(p)
	s.changesItsPassword(p)
	s.shell("kubectl -n %s delete dbpu/reports --timeout=120s", s.namespace)
	for _, member := range p.Members() {
		s.must(locked(member, "Y"))
	}
	if got := s.sql(p, s.primary(p), "SELECT COUNT(*) FROM reports.t"); got != "2" {
		t.Errorf("rows after the user was deleted: %q", got)
	}
}

// asReporter runs statements as the user, by one of the pair's Services.
func (s *scene) asReporter(p *harness.Pair, password, host, statements string) (string, error) {
	const script = `MYSQL_PWD="$0" exec mysql --no-defaults --ssl-mode=REQUIRED --connect-timeout=10 -ureporter -h"$1" -NBe "$2"`
	out, err := p.Exec(s.ctx, s.namespace, p.Members()[0], resources.ContainerMysqld, "sh", "-c", script, password, host, statements)
	return strings.TrimSpace(out), err
}

func (s *scene) passwordOfReporter() string {
	s.Helper()
	out, err := cluster.Shell(s.ctx, fmt.Sprintf("kubectl -n %s get secret shop-user-reports -o jsonpath='{.data.password}' | base64 -d", s.namespace))
	s.must(err)
	return strings.TrimSpace(out)
}

// readsItsOwnWrites by the recipe of docs/clients.md.
func (s *scene) readsItsOwnWrites(p *harness.Pair) {
	s.Helper()
	password := s.passwordOfReporter()
	executed, err := s.asReporter(p, password, "shop", "INSERT INTO reports.t VALUES (2); SELECT REPLACE(@@GLOBAL.gtid_executed, '\n', '')")
	s.must(err)
	got, err := s.asReporter(p, password, "shop-passive",
		"SELECT WAIT_FOR_EXECUTED_GTID_SET('"+executed+"', 60); SELECT COUNT(*) FROM reports.t WHERE id = 2; SELECT @@GLOBAL.read_only")
	s.must(err)
	if got != "0\n1\n1" {
		s.Errorf("the passive waited for its own writes, read them and is read-only: %q, want 0, 1 and 1", got)
	}
}

// refusesASecondObject for the account, whose end leaves the account of the first alone.
func (s *scene) refusesASecondObject(p *harness.Pair) {
	s.Helper()
	s.shell(`kubectl -n %s apply -f - <<'END'
apiVersion: dbpair.io/v1alpha1
kind: DatabasePairUser
metadata: {name: again}
spec: {pairRef: {name: shop}, user: reporter}
END`, s.namespace)
	s.shell("kubectl -n %s wait dbpu/again --for=jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}'=Conflict --timeout=120s", s.namespace)
	s.shell("kubectl -n %s delete dbpu/again --timeout=120s", s.namespace)
	if _, err := s.asReporter(p, s.passwordOfReporter(), "shop", "SELECT 1"); err != nil {
		s.Errorf("the account of the first object is gone with the second: %v", err)
	}
}

// changesItsPassword: both passwords are valid meanwhile.
func (s *scene) changesItsPassword(p *harness.Pair) {
	s.Helper()
	const next = "Another1password"
	former := s.passwordOfReporter()
	s.shell(`kubectl -n %s patch secret shop-user-reports --type merge -p '{"stringData":{"password":"%s"}}'`, s.namespace, next)
	s.must(harness.Eventually(s.ctx, harness.Patience, "the new password", func(context.Context) error {
		if _, err := s.asReporter(p, next, "shop", "SELECT 1"); err != nil {
			return harness.NotYet("%v", err)
		}
		return nil
	}))
	if _, err := s.asReporter(p, former, "shop", "SELECT 1"); err != nil {
		s.Errorf("the former password is not valid any more: %v", err)
	}
}

// shell runs a command that has to work.
func (s *scene) shell(format string, args ...any) {
	s.Helper()
	if out, err := cluster.Shell(s.ctx, fmt.Sprintf(format, args...)); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}
