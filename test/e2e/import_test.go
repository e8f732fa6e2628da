//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// defaultDump is what mysqldump of a server with GTIDs writes when it is not told otherwise.
const defaultDump = "SET @@SESSION.SQL_LOG_BIN = 0; SET @@GLOBAL.GTID_PURGED = /*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500';" +
	"CREATE DATABASE b; CREATE TABLE b.r (id INT PRIMARY KEY); INSERT INTO b.r VALUES (1), (2)"

// TestADumpThatReplicationNeverCarries: such a dump is imported on the primary. The pair says
// that nobody can take over, what the passive lacks, and the command that cures it. Pasted, that
// cures it, and a failover keeps the table.
func TestADumpThatReplicationNeverCarries(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "import")
	p := s.readyPair("shop")
	primary := s.primary(p)
	passive := p.Peer(primary)
	s.sql(p, primary, defaultDump)
	command := "kubectl dbpair reseed shop " + passive + " -n " + s.namespace
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionFailoverReady,
		Status:  metav1.ConditionFalse,
		Reason:  string(failover.RulePassiveLacksData),
		Message: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500",
	}, harness.Want{
		Type:    v1alpha1.ConditionFailoverReady,
		Status:  metav1.ConditionFalse,
		Message: command,
	}))
	if events, err := p.Events(s.ctx, string(failover.RulePassiveLacksData)); err != nil || len(events) == 0 {
		t.Errorf("%d events (%v)", len(events), err)
	}
	if got := s.sql(p, passive, "SHOW DATABASES LIKE 'b'"); got != "" {
		t.Fatalf("the passive has %q: this import is none that replication misses", got)
	}

	words := strings.Fields(strings.TrimPrefix(command, "kubectl dbpair "))
	out, err := cluster.Plugin(s.ctx, s.namespace, append(words, "--wait")...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionFailoverReady)...))

	pod, err := p.Pod(s.ctx, primary)
	s.must(err)
	s.must(cluster.Delete(s.ctx, pod))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the copy to take over", func(ctx context.Context) error {
		now, err := p.Primary(ctx)
		if err != nil || now != passive {
			return harness.NotYet("%s is the primary (%v)", now, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
	if got := s.sql(p, passive, "SELECT COUNT(*) FROM b.r"); got != "2" {
		t.Errorf("after the failover the table has %s rows", got)
	}
}

// TestImport: the same dump, given to the import verb, is refused with its lines and changes
// nothing; with --strip both members have its table. One that is cut off loads nothing.
func TestImport(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "importverb")
	p := s.readyPair("shop")
	primary := s.primary(p)
	passive := p.Peer(primary)
	path := filepath.Join(t.TempDir(), "dump.sql")
	s.must(os.WriteFile(path, []byte(defaultDump+";\n"), 0o600))

	out, err := cluster.Plugin(s.ctx, s.namespace, "import", "shop", "--file", path)
	if err == nil || !strings.Contains(err.Error()+out, "bypasses the binary log: gtid_purged") {
		t.Errorf("without --strip: %v\n%s", err, out)
	}
	s.must(os.WriteFile(path+".cut", []byte(defaultDump), 0o600))
	if out, err := cluster.Plugin(s.ctx, s.namespace, "import", "shop", "--file", path+".cut", "--strip"); err == nil {
		t.Errorf("a dump that is cut off was loaded: %s", out)
	}
	if got := s.sql(p, primary, "SHOW DATABASES LIKE 'b'"); got != "" {
		t.Fatalf("a refused dump left database %q", got)
	}

	if out, err := cluster.Plugin(s.ctx, s.namespace, "import", "shop", "--file", path, "--strip"); err != nil {
		t.Fatalf("with --strip: %v\n%s", err, out)
	}
	s.must(harness.Eventually(s.ctx, harness.Patience, "the rows on the passive", func(ctx context.Context) error {
		got, err := p.SQL(ctx, passive, "SELECT COUNT(*) FROM b.r")
		if err != nil || strings.TrimSpace(got) != "2" {
			return harness.NotYet("%q (%v)", got, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
}

// TestReseedRefusesThePrimary: neither the plugin nor a manifest gives the primary's data up.
func TestReseedRefusesThePrimary(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "reseed")
	p := s.readyPair("shop")
	primary := s.primary(p)
	if out, err := cluster.Plugin(s.ctx, s.namespace, "reseed", "shop", primary); err == nil {
		t.Errorf("the plugin made it: %s", out)
	}
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: "of-the-primary", Namespace: s.namespace},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: "shop"},
			Type:    v1alpha1.OperationReseed,
			Target:  primary,
		},
	}
	s.must(cluster.Create(s.ctx, op))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the operation to fail", func(ctx context.Context) error {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(op), op); err != nil {
			return err
		}
		if op.Status.Phase != v1alpha1.OperationFailed || !strings.Contains(op.Status.Message, "only the passive is copied again") {
			return harness.NotYet("it is %s: %s", op.Status.Phase, op.Status.Message)
		}
		return nil
	}))
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionFailoverReady)...))
}
