//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestAPairBeginsWithADonor has a new pair copy the primary of another one, which goes on. Until
// the password in the Secret is right, the condition names what is wrong.
func TestAPairBeginsWithADonor(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "donor")
	old := s.readyPair("old")
	s.sql(old, s.primary(old), "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2), (3);"+
		"CREATE USER donor IDENTIFIED BY 'donor-secret' REQUIRE SSL; GRANT BACKUP_ADMIN, SELECT ON *.* TO donor")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "donor", Namespace: s.namespace},
		StringData: map[string]string{"password": "wrong"},
	}
	s.must(cluster.Create(s.ctx, secret))
	p := s.pair("shop", "bootstrap: {donor: {host: old, user: donor, passwordSecretRef: {name: donor, key: password}, "+
		"caSecretRef: {name: old-app, key: ca.crt}}}")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBootstrapped,
		Status:  metav1.ConditionFalse,
		Reason:  string(agentapi.ProblemDonorDenied),
		Message: "Access denied",
	}))
	secret.StringData = map[string]string{"password": "donor-secret"}
	s.must(cluster.Update(s.ctx, secret))
	s.must(p.AwaitReady(s.ctx))
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonDataCopied,
	}))
	primary := s.primary(p)
	s.sql(p, primary, "INSERT INTO app.orders VALUES (4)")
	s.sql(old, s.primary(old), "INSERT INTO app.orders VALUES (5)")
	if out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait"); err != nil {
		t.Errorf("the members differ: %v\n%s", err, out)
	}
	got := s.sql(p, p.Peer(primary), "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.orders")
	if !strings.Contains(got, "1,2,3,4") || strings.Contains(got, "5") {
		t.Errorf("rows %q", got)
	}
}
