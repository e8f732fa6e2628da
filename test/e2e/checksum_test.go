//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// comparedWithin is generous: the Job gives way to everybody else on the machine.
const comparedWithin = 4 * time.Minute

// TestDriftIsFoundAndRepaired plants what root can plant on a passive, and has it found,
// told and put right by the plugin; Jobs are killed and overtaken meanwhile.
func TestDriftIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	s := newScene(t, "checksum")
	p := s.readyPair("shop", "checksum: {maxLag: 10s}")
	primary := s.primary(p)
	passive := p.Peer(primary)
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionConsistent,
		Status:  metav1.ConditionUnknown,
		Reason:  "NeverCompared",
		Message: "kubectl dbpair checksum shop",
	}))
	s.sql(p, primary, `CREATE TABLE app.orders (id INT PRIMARY KEY, note VARCHAR(60)); CREATE TABLE app.calm (id INT PRIMARY KEY);
		INSERT INTO app.orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 50) FROM n;
		INSERT INTO app.calm SELECT id FROM app.orders`)
	s.awaitEqualCounts(p, "app.calm", 1000)

	t.Run("the schedule's comparison and one on demand take turns", func(t *testing.T) { compareOnSchedule(s.sub(t), p) })
	suspended := time.Now()
	t.Run("planted drift is found and reported", func(t *testing.T) { findDrift(s.sub(t), p, passive) })
	t.Run("and repaired through replication", func(t *testing.T) { repairDrift(s.sub(t), p, primary, passive) })

	s.sql(p, primary, `CREATE TABLE app.large (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(255), more VARCHAR(255));
		SET SESSION cte_max_recursion_depth = 1000000;
		INSERT INTO app.large (note, more) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 200000) SELECT REPEAT('y', 200), REPEAT('z', 200) FROM n`)
	s.awaitEqualCounts(p, "app.large", 200000)
	t.Run("a Job whose pod is killed goes on", func(t *testing.T) { killJob(s.sub(t), p) })
	t.Run("a failover ends a Job at once", func(t *testing.T) { overtakeJob(s.sub(t), p) })
	t.Run("nothing was scheduled while that was suspended", func(t *testing.T) { stayedSuspended(s.sub(t), p, suspended) })
}

// compareOnSchedule asks for a comparison each minute, for one more as soon as the first is
// there, and for no more.
func compareOnSchedule(s *scene, p *harness.Pair) {
	before := s.newestOf(p, func(op *v1alpha1.DatabasePairOperation) bool { return true })
	if before != nil {
		s.Fatalf("%s was made before there was a schedule", before.Name)
	}
	s.must(p.PatchSpec(s.ctx, "checksum: {schedule: '* * * * *', timeZone: Europe/Berlin}"))
	var first *v1alpha1.DatabasePairOperation
	s.must(harness.EventuallyEvery(s.ctx, 100*time.Millisecond, harness.Patience, "the schedule's operation", func(context.Context) error {
		if first = s.newestOf(p, isScheduled); first == nil {
			return harness.NotYet("none")
		}
		return nil
	}))
	if first.Spec.Type != v1alpha1.OperationChecksum {
		s.Errorf("scheduled: %+v of %s", first.Spec, first.CreationTimestamp)
	}
	demanded := make(chan error, 1)
	go func() {
		out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait")
		if err == nil && !strings.Contains(out, "Succeeded") {
			err = fmt.Errorf("not succeeded: %s", out)
		}
		demanded <- err
	}()
	s.must(harness.EventuallyEvery(s.ctx, 100*time.Millisecond, comparedWithin, "the comparison on demand", func(ctx context.Context) error {
		all, err := p.Operations(ctx)
		if err != nil {
			return err
		}
		var running []string
		for i := range all {
			if all[i].Status.Phase == v1alpha1.OperationRunning {
				running = append(running, all[i].Name)
			}
		}
		if len(running) > 1 {
			s.Fatalf("at once: %v", running)
		}
		select {
		case err := <-demanded:
			if err != nil {
				s.Fatal(err)
			}
			return nil
		default:
			return harness.NotYet("running: %v", running)
		}
	}))
	s.awaitPhase(p, first, v1alpha1.OperationSucceeded)
	s.must(p.PatchSpec(s.ctx, "checksum: {suspend: true}"))
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionConsistent,
		Status:  metav1.ConditionTrue,
		Reason:  "MembersEqual",
		Message: "less than an hour ago",
	}))
	object, err := p.Object(s.ctx)
	s.must(err)
	if last := object.Status.Checksum; last == nil || last.LastScheduleTime == nil || last.LastScheduleTime.Sub(first.CreationTimestamp.Time) < -time.Minute {
		s.Errorf("status.checksum %+v does not name the time of %s", last, first.Name)
	}
}

// stayedSuspended: one that was made in the moments around the suspension has ended since. The
// tests before it may have been quicker than the schedule.
func stayedSuspended(s *scene, p *harness.Pair, suspended time.Time) {
	const moments = 5 * time.Second
	s.must(harness.Eventually(s.ctx, harness.Patience, "a time of the schedule has passed", func(context.Context) error {
		if since := time.Since(suspended); since < time.Minute+moments {
			return harness.NotYet("%s", since)
		}
		return nil
	}))
	last := s.newestOf(p, isScheduled)
	if last == nil || last.CreationTimestamp.After(suspended.Add(moments)) {
		s.Errorf("suspended at %s, and the newest of the schedule is %+v", suspended, last)
	}
}

func isScheduled(op *v1alpha1.DatabasePairOperation) bool {
	return op.Annotations[status.AnnotationScheduledAt] != ""
}

func (s *scene) awaitEqualCounts(p *harness.Pair, table string, want int) {
	s.Helper()
	for _, member := range p.Members() {
		s.must(harness.Eventually(s.ctx, harness.Patience, "rows of "+table+" on "+member, func(ctx context.Context) error {
			out, err := p.SQL(ctx, member, "SELECT COUNT(*) FROM "+table)
			if err == nil && out != fmt.Sprint(want) {
				err = harness.NotYet("%s", out)
			}
			return err
		}))
	}
}

func findDrift(s *scene, p *harness.Pair, passive string) {
	// The agent closes the passive again at once: it may come between two statements.
	s.must(harness.Eventually(s.ctx, harness.Patience, "drift is planted", func(ctx context.Context) error {
		_, err := p.SQL(ctx, passive, `SET SESSION sql_log_bin = 0; SET GLOBAL super_read_only = OFF;
			START TRANSACTION; UPDATE app.orders SET note = 'other' WHERE id = 7; DELETE FROM app.orders WHERE id = 8;
			INSERT INTO app.orders VALUES (900001, 'surplus'); COMMIT; SET GLOBAL super_read_only = ON`)
		return err
	}))
	out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait")
	if err == nil || !strings.Contains(err.Error(), "the members differ") || !strings.Contains(err.Error(), "differs: app.orders, 3 rows") {
		s.Fatalf("%v: %s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience,
		harness.Want{
			Type:    v1alpha1.ConditionConsistent,
			Status:  metav1.ConditionFalse,
			Reason:  "Drift",
			Message: "app.orders: 3 rows",
		},
		harness.Want{Type: v1alpha1.ConditionFailoverReady, Status: metav1.ConditionTrue, Message: "the members differ in 3 rows"}))
	s.awaitEvent(p, "Drift")
	op := s.newest(p, v1alpha1.OperationChecksum)
	var m corev1.ConfigMap
	s.must(p.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: op.Status.Result.Report}, &m))
	report := m.Data[jobapi.KeyReport]
	for _, key := range []string{`"7"`, `"8"`, `"900001"`} {
		if !strings.Contains(report, key) {
			s.Errorf("the report does not name the row %s: %s", key, report)
		}
	}
	if strings.Contains(report, "surplus") {
		s.Error("the report holds values that nobody asked for")
	}
	if lock := op.Status.Result.LongestLock; lock == nil || lock.Duration > 2*time.Second {
		s.Errorf("longest lock %v", lock)
	}
	s.Logf("result %+v", *op.Status.Result)
}

func repairDrift(s *scene, p *harness.Pair, primary, passive string) {
	out, err := cluster.Plugin(s.ctx, s.namespace, "repair", "shop", "--table", "app.orders", "--dry-run", "--wait")
	if err != nil || !strings.Contains(out, "would write 3 rows") {
		s.Fatalf("dry run: %v: %s", err, out)
	}
	object, err := p.Object(s.ctx)
	s.must(err)
	out, err = cluster.Plugin(s.ctx, s.namespace, "repair", "shop", "--table", "app.orders", "--wait",
		"--confirm", fmt.Sprintf("shop/%d", object.Status.Epoch))
	if err != nil || !strings.Contains(out, "Succeeded") {
		s.Fatalf("repair: %v: %s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{Type: v1alpha1.ConditionConsistent, Status: metav1.ConditionTrue}))
	const all = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('#', id, note))) FROM app.orders"
	if a, b := s.sql(p, primary, all), s.sql(p, passive, all); a != b || !strings.HasPrefix(a, "1000\t") {
		s.Errorf("after the repair %s and %s", a, b)
	}
	op := s.newest(p, v1alpha1.OperationRepair)
	saved, err := p.Exec(s.ctx, p.Namespace, passive, resources.ContainerMysqld, "cat", "/data/dbpair/quarantine/repairs/"+op.Name+".jsonl")
	s.must(err)
	// Values are SQL literals; this one is the text surplus.
	if lines := strings.Count(saved, "\n"); lines < 3 || !strings.Contains(saved, "X'737572706C7573'") {
		s.Errorf("saved before the repair: %s", saved)
	}
	if got := s.sql(p, passive, "SELECT @@GLOBAL.replica_exec_mode"); got != "STRICT" {
		s.Errorf("the applier is %s after the repair", got)
	}
	s.must(harness.Eventually(s.ctx, harness.Patience, "the right to write is taken back", func(ctx context.Context) error {
		out, err := p.SQL(ctx, primary, "SELECT COUNT(*) FROM mysql.tables_priv WHERE User = 'dbpair_repair'")
		if err == nil && out != "0" {
			err = harness.NotYet("%s tables", out)
		}
		return err
	}))
	if out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait"); err != nil {
		s.Errorf("after the repair: %v: %s", err, out)
	}
}

// newest is the operation of a type that was made last.
func (s *scene) newest(p *harness.Pair, kind v1alpha1.OperationType) *v1alpha1.DatabasePairOperation {
	s.Helper()
	out := s.newestOf(p, func(op *v1alpha1.DatabasePairOperation) bool { return op.Spec.Type == kind })
	if out == nil {
		s.Fatalf("no operation of type %s", kind)
	}
	return out
}

// newestOf is the last that was made of those that are meant; nil for none.
func (s *scene) newestOf(p *harness.Pair, meant func(*v1alpha1.DatabasePairOperation) bool) *v1alpha1.DatabasePairOperation {
	s.Helper()
	all, err := p.Operations(s.ctx)
	s.must(err)
	var out *v1alpha1.DatabasePairOperation
	for i := range all {
		op := &all[i]
		if meant(op) && (out == nil || !op.CreationTimestamp.Before(&out.CreationTimestamp)) {
			out = op
		}
	}
	return out
}

// startJob begins a comparison and waits for its pod.
func (s *scene) startJob(p *harness.Pair) (*v1alpha1.DatabasePairOperation, *corev1.Pod) {
	s.Helper()
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-large-", Namespace: s.namespace},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: p.Name}, Type: v1alpha1.OperationChecksum,
			Checksum: &v1alpha1.ChecksumParameters{Table: "app.large"},
		},
	}
	s.must(p.Create(s.ctx, op))
	var pod *corev1.Pod
	s.must(harness.EventuallyEvery(s.ctx, 50*time.Millisecond, harness.Patience, "the Job's pod runs", func(ctx context.Context) error {
		var pods corev1.PodList
		name := p.Names().JobName(op.UID)
		if err := p.List(ctx, &pods, client.InNamespace(s.namespace), client.MatchingLabels{batchv1.JobNameLabel: name}); err != nil {
			return err
		}
		for i := range pods.Items {
			if pods.Items[i].Status.Phase == corev1.PodRunning {
				pod = &pods.Items[i]
				return nil
			}
		}
		return harness.NotYet("%d pods of %s", len(pods.Items), name)
	}))
	return op, pod
}

func (s *scene) awaitPhase(p *harness.Pair, op *v1alpha1.DatabasePairOperation, want v1alpha1.OperationPhase) {
	s.Helper()
	s.must(harness.Eventually(s.ctx, comparedWithin, "operation "+op.Name, func(ctx context.Context) error {
		if err := p.Get(ctx, client.ObjectKeyFromObject(op), op); err != nil {
			return err
		}
		if op.Status.Phase != want {
			return harness.NotYet("%s: %s %+v", op.Status.Phase, op.Status.Message, op.Status.Progress)
		}
		return nil
	}))
}

// lockLarge locks the table that is compared, so that a comparison is not over before it is
// disturbed, however quick it is. The lock ends by itself after some minutes.
func (s *scene) lockLarge(p *harness.Pair) (release func()) {
	s.Helper()
	primary := s.primary(p)
	go func() {
		_, _ = p.SQL(context.WithoutCancel(s.ctx), primary, "LOCK TABLES app.large WRITE; SELECT SLEEP(240); UNLOCK TABLES")
	}()
	var id string
	s.must(harness.Eventually(s.ctx, harness.Patience, "the lock of app.large", func(ctx context.Context) error {
		out, err := p.SQL(ctx, primary, "SELECT MIN(ID) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(240)%'")
		if id = strings.TrimSpace(out); err == nil && id == "NULL" {
			err = harness.NotYet("nobody holds it")
		}
		return err
	}))
	return func() { _, _ = p.SQL(s.ctx, primary, "KILL "+id) } // a failover may have ended it
}

func killJob(s *scene, p *harness.Pair) {
	release := s.lockLarge(p)
	op, pod := s.startJob(p)
	s.must(p.Delete(s.ctx, pod, client.GracePeriodSeconds(0)))
	release()
	s.awaitPhase(p, op, v1alpha1.OperationSucceeded)
	if op.Status.Result == nil || op.Status.Result.Rows != 200000 || op.Status.Result.DifferingRows != 0 {
		s.Errorf("result %+v", op.Status.Result)
	}
	s.Logf("took %s, longest lock %s, last progress %+v", op.Status.Result.Duration.Duration, op.Status.Result.LongestLock.Duration, op.Status.Progress)
}

func overtakeJob(s *scene, p *harness.Pair) {
	before := s.primary(p)
	release := s.lockLarge(p)
	op, pod := s.startJob(p)
	object, err := p.Object(s.ctx)
	s.must(err)
	if out, err := cluster.Plugin(s.ctx, s.namespace, "failover", "shop", "--confirm", fmt.Sprintf("shop/%d", object.Status.Epoch)); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	release()
	s.must(harness.Eventually(s.ctx, harness.Patience, "the other member is the primary", func(ctx context.Context) error {
		now, err := p.Primary(ctx)
		if err == nil && now == before {
			err = harness.NotYet("still %s", now)
		}
		return err
	}))
	s.awaitPhase(p, op, v1alpha1.OperationAbandoned)
	s.must(harness.Eventually(s.ctx, harness.Patience, "the Job's pod is gone", func(ctx context.Context) error {
		err := p.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		if client.IgnoreNotFound(err) != nil || err == nil {
			return harness.NotYet("%s: %v", pod.Status.Phase, err)
		}
		return nil
	}))
	failover := s.newest(p, v1alpha1.OperationFailover)
	if failover.Status.StartTime != nil && failover.Status.CompletionTime != nil {
		s.Logf("the failover took %s", failover.Status.CompletionTime.Sub(failover.Status.StartTime.Time))
	}
	s.must(p.AwaitReady(s.ctx))
}
