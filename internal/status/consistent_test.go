package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/status"
)

// ended is an operation that ended at this minute.
func ended(name string, minute int, change func(*v1alpha1.DatabasePairOperation)) v1alpha1.DatabasePairOperation {
	at := metav1.NewMicroTime(now.Add(time.Duration(minute) * time.Minute))
	op := v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum},
		Status: v1alpha1.OperationStatus{
			Phase: v1alpha1.OperationSucceeded, CompletionTime: &at, Result: &v1alpha1.OperationResult{Rows: 100},
		},
	}
	if change != nil {
		change(&op)
	}
	return op
}

func finds(rows map[string]int64) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		for _, table := range []string{"a.t", "a.u", "a.v"} {
			if n := rows[table]; n > 0 {
				op.Status.Result.Differing = append(op.Status.Result.Differing, v1alpha1.TableDrift{Table: table, Rows: n})
				op.Status.Result.DifferingRows += n
			}
		}
	}
}

func skips(tables int64, named ...string) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		op.Status.Result.TablesSkipped = tables
		op.Status.Result.Skipped = named
	}
}

func of(table string, more func(*v1alpha1.DatabasePairOperation)) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Checksum = &v1alpha1.ChecksumParameters{Table: table}
		if more != nil {
			more(op)
		}
	}
}

func repairs(table string, more func(*v1alpha1.DatabasePairOperation)) func(*v1alpha1.DatabasePairOperation) {
	return func(op *v1alpha1.DatabasePairOperation) {
		op.Spec.Type = v1alpha1.OperationRepair
		op.Spec.Repair = &v1alpha1.RepairParameters{Table: table}
		if more != nil {
			more(op)
		}
	}
}

func fails(op *v1alpha1.DatabasePairOperation) {
	op.Status.Phase = v1alpha1.OperationFailed
	op.Status.Message = "no"
	op.Status.Result = nil
}

func TestWhatComparisonsFoundIsKeptTableByTable(t *testing.T) {
	for name, c := range map[string]struct {
		operations []v1alpha1.DatabasePairOperation
		want       map[string]int64
		success    string
	}{
		"nothing yet": {},
		"all is equal": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, nil)}, nil, "1"},
		"a difference": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3, "a.u": 1}))}, map[string]int64{"a.t": 3, "a.u": 1}, "1"},
		"a later comparison of all replaces it": {
			[]v1alpha1.DatabasePairOperation{ended("2", 2, nil), ended("1", 1, finds(map[string]int64{"a.t": 3}))}, nil, "2"},
		"a comparison of one table is about that one": {
			[]v1alpha1.DatabasePairOperation{
				ended("1", 1, finds(map[string]int64{"a.t": 3, "a.u": 1})), ended("2", 2, of("a.t", nil)), ended("3", 3, of("a.v", finds(map[string]int64{"a.v": 7}))),
			}, map[string]int64{"a.u": 1, "a.v": 7}, "1"},
		"a repair clears its table": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3, "a.u": 1})), ended("2", 2, repairs("a.t", nil))},
			map[string]int64{"a.u": 1}, "1"},
		"a repair that leaves rows does not": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3})), ended("2", 2, repairs("a.t", func(op *v1alpha1.DatabasePairOperation) {
				finds(map[string]int64{"a.t": 2})(op)
				op.Status.Phase = v1alpha1.OperationFailed
			}))}, map[string]int64{"a.t": 2}, "1"},
		"one without a result changes nothing": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3})), ended("2", 2, fails), ended("3", 3, repairs("a.t", fails))},
			map[string]int64{"a.t": 3}, "1"},
		"what was skipped is as it was": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3, "a.u": 1})), ended("2", 2, func(op *v1alpha1.DatabasePairOperation) {
				op.Status.Result.Skipped = []string{"a.t: it was altered all the time"}
			})}, map[string]int64{"a.t": 3}, "2"},
		"what may be among the skipped that are not named is as it was": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, finds(map[string]int64{"a.t": 3})), ended("2", 2, skips(3, "a.x: no key"))}, map[string]int64{"a.t": 3}, "2"},
		"a failover is none of it": {
			[]v1alpha1.DatabasePairOperation{ended("1", 1, func(op *v1alpha1.DatabasePairOperation) { op.Spec.Type = v1alpha1.OperationFailover })}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s *v1alpha1.ChecksumStatus
			// One after the other, as they end, and all at once come to the same; and again changes nothing.
			for _, looks := range [][]v1alpha1.DatabasePairOperation{c.operations, c.operations} {
				s = status.Compared(s, looks)
			}
			got := map[string]int64{}
			var sum int64
			success := ""
			if s != nil {
				success = s.LastSuccess
				for _, one := range s.Differing {
					got[one.Table] = one.Rows
					sum += one.Rows
				}
				if s.DifferingRows != sum {
					t.Errorf("%d rows differ in all, of tables %v", s.DifferingRows, got)
				}
			}
			if c.want == nil {
				c.want = map[string]int64{}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || success != c.success {
				t.Errorf("differing (-want +got):\n%s; last success %q, want %q", diff, success, c.success)
			}
		})
	}
}

func TestConsistent(t *testing.T) {
	yes := metav1.ConditionTrue
	no := metav1.ConditionFalse
	unknown := metav1.ConditionUnknown
	drifted := ended("shop-c-1", -30, finds(map[string]int64{"a.t": 3}))
	for name, c := range map[string]struct {
		operations []v1alpha1.DatabasePairOperation
		stale      time.Duration
		status     metav1.ConditionStatus
		rule       failover.RuleName
		says       []string
	}{
		"never": {nil, 0, unknown, failover.RuleNeverCompared, []string{"not been compared", "kubectl dbpair checksum shop -n ns"}},
		"never, and it failed": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -5, fails)}, 0, unknown, failover.RuleNeverCompared,
			[]string{"shop-c-1 came to no result: no"}},
		"equal": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -180, nil)}, 0, yes, failover.RuleMembersEqual, []string{"100 rows", "3 h ago", "shop-c-1"}},
		"equal, as far as it was compared": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -180, skips(2, "a.x: no key"))}, 0, yes, failover.RuleMembersEqual,
			[]string{"100 rows", "2 tables were not compared", "shop-c-1"}},
		"equal, long ago": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -3*24*60-1, nil)}, 48 * time.Hour, unknown, failover.RuleComparisonStale,
			[]string{"3 days ago", "too long ago", "kubectl dbpair checksum shop"}},
		"different": {[]v1alpha1.DatabasePairOperation{drifted}, 0, no, failover.RuleDrift,
			[]string{"a.t: 3 rows (shop-c-1)", "kubectl dbpair repair shop --table a.t --dry-run -n ns", "less than an hour ago"}},
		"different, long ago, stays different": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -9999, finds(map[string]int64{"a.t": 3}))}, time.Hour, no, failover.RuleDrift, nil},
		"a definition": {[]v1alpha1.DatabasePairOperation{ended("shop-c-1", -1, func(op *v1alpha1.DatabasePairOperation) { op.Status.Result.SchemaDifferences = 2 })}, 0,
			no, failover.RuleDrift, []string{"2 definitions or accounts (shop-c-1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			done := status.Reconciled{Done: true, Checksum: status.Compared(nil, c.operations), StaleAfter: c.stale}
			got := meta.FindStatusCondition(status.Conditions(available(), failover.Plan{Kind: failover.Settled}, done, nil), v1alpha1.ConditionConsistent)
			if got.Status != c.status || got.Reason != string(c.rule) {
				t.Errorf("%s (%s), want %s (%s)", got.Status, got.Reason, c.status, c.rule)
			}
			for _, says := range c.says {
				if !strings.Contains(got.Message, says) {
					t.Errorf("says %q, not %q", got.Message, says)
				}
			}
		})
	}
	done := status.Reconciled{Done: true, Checksum: status.Compared(nil, []v1alpha1.DatabasePairOperation{drifted})}
	ready := failover.Plan{Kind: failover.Settled, FailoverReady: failover.Readiness{Ready: true, Rule: failover.RuleInSync, Fact: "shop-1 can take over"}}
	got := meta.FindStatusCondition(status.Conditions(available(), ready, done, nil), v1alpha1.ConditionFailoverReady)
	if got.Status != yes || !strings.Contains(got.Message, "the members differ in 3 rows") {
		t.Errorf("FailoverReady is %s and says %q", got.Status, got.Message)
	}
}
