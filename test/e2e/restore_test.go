//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// documented is the script below a mark in a file of docs.
func (s *scene) documented(file, mark string) string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", file))
	s.must(err)
	_, rest, found := strings.Cut(string(text), "<!-- "+mark+" -->\n```sh\n")
	script, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		s.Fatalf("docs/%s has no script below the mark %q", file, mark)
	}
	return script
}

// TestALostPairIsRestored deletes a pair with its volumes, and restores its backup under another
// name by the script in the documentation.
func TestALostPairIsRestored(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "restore")
	s.claimForBackups()
	old := s.readyPair("shop", "backup: {destination: {volume: {claimName: backups}}}")
	s.sql(old, s.primary(old), "CREATE TABLE app.orders (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO app.orders VALUES (1, 'a'), (2, 'b'), (3, NULL);"+
		"CREATE USER reader IDENTIFIED BY 'reader-secret'")
	if out, err := cluster.Plugin(s.ctx, s.namespace, "backup", "shop", "--wait"); err != nil {
		s.Fatalf("backup: %v\n%s", err, out)
	}
	s.sql(old, s.primary(old), "INSERT INTO app.orders VALUES (4, 'late')")
	saved, err := cluster.Shell(s.ctx, "kubectl get databasepair shop -n "+s.namespace+" -o yaml")
	s.must(err)
	manifest := filepath.Join(t.TempDir(), "shop.yaml")
	s.must(os.WriteFile(manifest, []byte(saved), 0o600))
	s.lose(old)

	out, err := cluster.Script(s.ctx, s.documented("backup.md", "restore"),
		"NAMESPACE="+s.namespace, "OLD=shop", "NEW=shop2", "MANIFEST="+manifest)
	if err != nil {
		s.Fatalf("restore: %v\n%s", err, out)
	}
	p := cluster.Pair(s.namespace, "shop2")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBootstrapped,
		Status:  metav1.ConditionTrue,
		Reason:  status.ReasonDataCopied,
		Message: "the latest backup of pair " + s.namespace + "/shop",
	}))
	primary := s.primary(p)
	s.sql(p, primary, "INSERT INTO app.orders VALUES (5, 'new')")
	rows := s.sql(p, primary, "SELECT GROUP_CONCAT(id, COALESCE(v, '') ORDER BY id) FROM app.orders")
	if rows != "1a,2b,3,5new" {
		s.Errorf("rows %q", rows)
	}
	if user := s.sql(p, primary, "SELECT COUNT(*) FROM mysql.user WHERE User = 'reader'"); user != "1" {
		s.Errorf("%s accounts reader", user)
	}
	s.must(harness.Eventually(s.ctx, harness.Patience, "the vault is removed", func(ctx context.Context) error {
		name := types.NamespacedName{Namespace: s.namespace, Name: p.Names().Vault()}
		for _, o := range []client.Object{&batchv1.Job{}, &corev1.Service{}, &corev1.Secret{}} {
			if err := cluster.Get(ctx, name, o); client.IgnoreNotFound(err) != nil || err == nil {
				return harness.NotYet("%T %s is there: %v", o, name, err)
			}
		}
		return nil
	}))
}

// lose deletes a pair, and its volumes with it.
func (s *scene) lose(p *harness.Pair) {
	s.Helper()
	s.must(p.Remove(s.ctx))
	for _, o := range []pair.Ordinal{0, 1} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: p.Names().Claim(o)}}
		s.must(client.IgnoreNotFound(cluster.Delete(s.ctx, claim)))
		s.must(harness.Eventually(s.ctx, harness.Patience, "volume "+claim.Name+" is gone", func(ctx context.Context) error {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(claim), claim)
			if err == nil {
				return harness.NotYet("it is there")
			}
			return client.IgnoreNotFound(err)
		}))
	}
}
