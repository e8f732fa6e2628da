//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestUsers: a user gets an account on both members and a Secret, and is locked out when its object is deleted,
// while its data stays.
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
	s.shell("kubectl -n %s delete dbpu/reports --timeout=120s", s.namespace)
	for _, member := range p.Members() {
		s.must(locked(member, "Y"))
	}
	if got := s.sql(p, s.primary(p), "SELECT COUNT(*) FROM reports.t"); got != "1" {
		t.Errorf("rows after the user was deleted: %q", got)
	}
}

// shell runs a command that has to work.
func (s *scene) shell(format string, args ...any) {
	s.Helper()
	if out, err := cluster.Shell(s.ctx, fmt.Sprintf(format, args...)); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}
