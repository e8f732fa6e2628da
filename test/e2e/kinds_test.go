//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// unusual are objects that a comparison by a plain SELECT meets with difficulty: names in capitals, a trigger, an index of many values,
// a name with a dot, a column of another script, values of ENUM that are none, and a view whose table is gone.
const unusual = `
	CREATE TABLE app.Orders (id INT PRIMARY KEY, note VARCHAR(60), state ENUM('', '0', 'done'));
	CREATE TABLE app.audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(60));
	CREATE TRIGGER app.tr AFTER UPDATE ON app.Orders FOR EACH ROW INSERT INTO app.audit (what) VALUES (NEW.note);
	INSERT INTO app.Orders VALUES (1, 'one', ''), (2, 'two', '0'), (3, NULL, 'done');
	CREATE TABLE app.tags (id INT PRIMARY KEY, list JSON, INDEX ((CAST(list->'$' AS UNSIGNED ARRAY))));
	INSERT INTO app.tags VALUES (1, '[1, 2, 3]'), (2, '[]');
	CREATE TABLE app.` + "`prices.2026` (id INT PRIMARY KEY, `größe.µ` VARCHAR(9) CHARACTER SET utf8mb4)" + `;
	INSERT INTO app.` + "`prices.2026`" + ` VALUES (1, 'ÄÖ'), (2, '✓');
	CREATE TABLE app.base (id INT PRIMARY KEY); CREATE VIEW app.orphan AS SELECT id FROM app.base; DROP TABLE app.base`

// TestUnusualTables: a pair that was born with options of taste has tables of unusual kinds compared, finds what one member alone
// changed, and refuses a repair that would run a trigger.
func TestUnusualTables(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "kinds")
	p := s.readyPair("shop", "checksum: {maxLag: 10s}",
		"mysql: {config: {lower_case_table_names: 1, sql_require_primary_key: true, log_bin_trust_function_creators: true}}")
	primary := s.primary(p)
	passive := p.Peer(primary)
	s.sql(p, primary, unusual)
	s.awaitEqualCounts(p, "app.orders", 3)
	if out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait"); err != nil || !strings.Contains(out, "Succeeded") {
		s.Fatalf("%v: %s", err, out)
	}
	s.must(harness.Eventually(s.ctx, harness.Patience, "drift is planted", func(ctx context.Context) error {
		_, err := p.SQL(ctx, passive, `SET SESSION sql_log_bin = 0; SET GLOBAL super_read_only = OFF;
			UPDATE app.orders SET note = 'other' WHERE id = 2; SET GLOBAL super_read_only = ON`)
		return err
	}))
	out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--table", "app.orders", "--wait")
	if err == nil || !strings.Contains(err.Error(), "app.orders, 1 rows") {
		s.Fatalf("%v: %s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionConsistent,
		Status: metav1.ConditionFalse,
		Reason: "Drift",
	}))
	object, err := p.Object(s.ctx)
	s.must(err)
	out, err = cluster.Plugin(s.ctx, s.namespace, "repair", "shop", "--table", "app.Orders", "--wait",
		"--confirm", fmt.Sprintf("shop/%d", object.Status.Epoch))
	if err == nil || !strings.Contains(err.Error()+out, "its trigger tr would run") {
		s.Errorf("a repair of a table with a trigger: %v: %s", err, out)
	}
}
