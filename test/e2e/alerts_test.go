//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/alerting"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// watched is a pair whose Prometheus has the chart's alerts.
type watched struct {
	*scene
	pair             *harness.Pair
	prometheus       *harness.Prometheus
	primary, passive string
}

// TestAlerts: Debian's Prometheus loads the chart's alerts, which wait for seconds here, and each fault of a real pair fires those that
// package alerting says. Once the fault is over they end, but for those that count. It does not run beside others, since it takes the
// operator away.
func TestAlerts(t *testing.T) {
	harness.NeedsLong(t)
	w := newWatched(t)
	w.awaitOnly("a pair that works")
	for _, f := range []struct {
		fault  alerting.Fault
		inject func(*watched) (heal func())
	}{
		{alerting.PassiveLost, (*watched).losePassive},
		{alerting.SemiSyncOff, (*watched).switchSemiSyncOff},
		{alerting.OwnedSettingOther, (*watched).changeOwned},
		{alerting.SpecWithWrongValue, (*watched).misspell},
		{alerting.ApplierStopped, (*watched).stopApplier},
		{alerting.MemberDiffers, (*watched).differ},
		{alerting.PairFenced, (*watched).fence},
		{alerting.VolumeFull, (*watched).fill},
		{alerting.BackupImpossible, (*watched).failBackup},
		{alerting.OperatorGone, (*watched).stopOperator},
	} {
		t.Run(string(f.fault), func(t *testing.T) {
			w := w.on(t)
			heal := f.inject(w)
			w.awaitFired(f.fault)
			heal()
			w.must(w.pair.AwaitReady(w.ctx))
			w.awaitOnly("the end of: " + string(f.fault))
		})
	}
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	s := newScene(t, "alerts")
	small, err := cluster.SmallVolumes(s.ctx, s.namespace, 1<<30)
	s.must(err)
	s.afterEnd(func() {
		if err := small.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := s.readyPair("shop", fmt.Sprintf("storage: {size: 1Gi, accessMode: ReadWriteOnce, storageClassName: %s}", small.Class),
		"checksum: {maxLag: 10s}", "network: {metricsFrom: [{podSelector: {matchLabels: {app: prometheus}}}]}")
	rules, err := alerting.Rules("../..")
	s.must(err)
	prometheus, err := cluster.StartPrometheus(s.ctx, s.namespace, t.TempDir(), rules, func(service string) string {
		return alerting.Config(s.namespace, p.Name, harness.OperatorNamespace, service)
	})
	s.must(err)
	s.onEnd(func() {
		if err := prometheus.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := &watched{
		scene:      s,
		pair:       p,
		prometheus: prometheus,
	}
	for _, job := range []string{"members", "operator"} {
		s.must(harness.Eventually(s.ctx, harness.Patience, "both targets of "+job, func(ctx context.Context) error {
			up, err := prometheus.Up(ctx, job)
			if err == nil && (len(up) != 2 || slices.Contains(slices.Collect(maps.Values(up)), false)) {
				err = harness.NotYet("%v", up)
			}
			return err
		}))
	}
	s.sql(p, s.primary(p), "CREATE TABLE app.alerts (id INT PRIMARY KEY, v INT); INSERT INTO app.alerts VALUES (1, 1)")
	return w
}

// on is the same for a subtest, with the roles as they are now.
func (w *watched) on(t *testing.T) *watched {
	t.Helper()
	next := *w
	next.scene = w.scene.sub(t)
	next.primary = next.scene.primary(w.pair)
	next.passive = w.pair.Peer(next.primary)
	return &next
}

// awaitFired waits until all alerts of a fault fire.
func (w *watched) awaitFired(fault alerting.Fault) {
	w.Helper()
	var wanted []string
	for name, of := range alerting.Fired {
		if of == fault {
			wanted = append(wanted, name)
		}
	}
	slices.Sort(wanted)
	if len(wanted) == 0 {
		w.Fatalf("no alert is of the fault %q", fault)
	}
	w.must(harness.Eventually(w.ctx, harness.Patience, fmt.Sprintf("alerts %v", wanted), func(ctx context.Context) error {
		firing, err := w.prometheus.Firing(ctx)
		if err != nil {
			return err
		}
		for _, name := range wanted {
			if !slices.Contains(firing, name) {
				return harness.NotYet("%v fire", firing)
			}
		}
		w.Logf("%s: %v fire", fault, firing)
		return nil
	}))
}

// awaitOnly waits until no alert fires but those that count what was.
func (w *watched) awaitOnly(when string) {
	w.Helper()
	w.must(harness.Eventually(w.ctx, harness.Patience, "no alert at "+when, func(ctx context.Context) error {
		firing, err := w.prometheus.Firing(ctx)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(firing, func(name string) bool { return slices.Contains(alerting.Counting, name) })
		if len(left) > 0 {
			return harness.NotYet("%v fire", left)
		}
		return nil
	}))
}

func (w *watched) losePassive() func() {
	pod, err := w.pair.Pod(w.ctx, w.passive)
	w.must(err)
	node := pod.Spec.NodeName
	w.must(cordon(w.ctx, node, true))
	w.Cleanup(func() {
		if err := cordon(context.Background(), node, false); err != nil {
			w.Error(err)
		}
	})
	w.must(cluster.Delete(w.ctx, pod))
	return func() { w.must(cordon(w.ctx, node, false)) }
}

func (w *watched) switchSemiSyncOff() func() {
	w.sql(w.pair, w.primary, "SET GLOBAL rpl_semi_sync_source_enabled = OFF")
	return func() {}
}

func (w *watched) changeOwned() func() {
	w.sql(w.pair, w.primary, "SET GLOBAL sync_binlog = 0")
	return func() {}
}

func (w *watched) misspell() func() {
	w.must(w.pair.PatchSpec(w.ctx, "mysql: {config: {max_connections: many}}"))
	return func() { w.must(w.pair.PatchSpec(w.ctx, "mysql: {config: {max_connections: null}}")) }
}

// onPassive has root write on the passive alone. The agent closes it again at once: it may come between two statements.
func (w *watched) onPassive(statement string) {
	w.Helper()
	w.must(harness.Eventually(w.ctx, harness.Patience, "a write on the passive", func(ctx context.Context) error {
		_, err := w.pair.SQL(ctx, w.passive, "SET SESSION sql_log_bin = 0; SET GLOBAL super_read_only = OFF; "+statement)
		return err
	}))
}

func (w *watched) stopApplier() func() {
	w.onPassive("REPLACE INTO app.alerts VALUES (2, 2)")
	w.sql(w.pair, w.primary, "INSERT INTO app.alerts VALUES (2, 2)")
	return func() { w.onPassive("DELETE FROM app.alerts WHERE id = 2; START REPLICA SQL_THREAD") }
}

func (w *watched) differ() func() {
	w.onPassive("UPDATE app.alerts SET v = 7 WHERE id = 1")
	if out, err := cluster.Plugin(w.ctx, w.namespace, "checksum", "shop", "--wait"); err == nil || !strings.Contains(err.Error(), "differ") {
		w.Fatalf("%v: %s", err, out)
	}
	return func() {
		w.onPassive("UPDATE app.alerts SET v = 1 WHERE id = 1")
		if out, err := cluster.Plugin(w.ctx, w.namespace, "checksum", "shop", "--wait"); err != nil {
			w.Fatalf("%v: %s", err, out)
		}
	}
}

func (w *watched) confirmed(verb string) {
	w.Helper()
	object, err := w.pair.Object(w.ctx)
	w.must(err)
	if out, err := cluster.Plugin(w.ctx, w.namespace, verb, "shop", "--confirm", fmt.Sprintf("shop/%d", object.Status.Epoch)); err != nil {
		w.Fatalf("%s: %v: %s", verb, err, out)
	}
}

func (w *watched) fence() func() {
	w.confirmed("fence")
	w.must(w.pair.Await(w.ctx, harness.Patience, harness.Want{Type: v1alpha1.ConditionInDoubt, Status: metav1.ConditionTrue}))
	return func() { w.confirmed("release") }
}

// fill leaves 7 % of the passive's volume, which is less than the alerts want and more than mysqld needs.
func (w *watched) fill() func() {
	const filler = "/data/filler"
	in := func(script string) {
		w.Helper()
		if _, err := w.pair.Exec(w.ctx, w.namespace, w.passive, resources.ContainerMysqld, "sh", "-c", script); err != nil {
			w.Fatal(err)
		}
	}
	in(`set -- $(df -kP /data | tail -n 1); head -c "$((($4 - $2 * 7 / 100) * 1024))" /dev/zero > ` + filler)
	return func() { in("rm " + filler) }
}

func (w *watched) failBackup() func() {
	w.must(w.pair.PatchSpec(w.ctx, "backup: {destination: {volume: {claimName: nowhere}}, binlog: {enabled: true}}"))
	w.must(cluster.Create(w.ctx, &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "backup"},
		Spec: v1alpha1.OperationSpec{
			PairRef:  v1alpha1.PairReference{Name: w.pair.Name},
			Type:     v1alpha1.OperationBackup,
			Deadline: &metav1.Duration{Duration: time.Minute},
		},
	}))
	return func() { w.must(w.pair.PatchSpec(w.ctx, "backup: null")) }
}

func (w *watched) stopOperator() func() {
	w.must(cluster.ScaleOperator(w.ctx, 0))
	w.reinstallAfter()
	return func() { w.must(cluster.ScaleOperator(w.ctx, 2)) }
}
