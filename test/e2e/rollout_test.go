//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestRollout: the spec of a pair under load is changed. A good change reaches both members, one
// after the other; one with which no pod comes back stops at the passive, and is taken back.
func TestRollout(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	demoted := []fencing.Kind{fencing.Demoted}
	stopped := string(failover.RuleRolloutStopped)
	runFaults(t, "rollout", []fault{
		{
			name:   "a label and an annotation",
			want:   failsOver,
			inject: rollOut("podTemplate: {metadata: {labels: {team: web}, annotations: {example.test/restarted: once}}}"),
			proofs: demoted,
			after:  rolledOut,
		},
		{
			name:   "a setting",
			want:   failsOver,
			inject: rollOut("mysql: {config: {innodb_ft_cache_size: '9000000'}}"),
			proofs: demoted,
			after:  rolledOut,
		},
		{
			name: "settings that mysqld takes over while it runs",
			want: undisturbed,
			inject: takesOver("mysql: {config: {max_connections: 333, long_query_time: '0.5', sql_mode: STRICT_TRANS_TABLES}}",
				"333\t0.500000\tSTRICT_TRANS_TABLES"),
		},
		{
			name:   "an image that is not there, and back",
			want:   undisturbed,
			inject: stops(stopped, "mysql: {image: 'example.test/mysql:none'}", "Image"),
		},
		{
			name:   "a setting that mysqld refuses is not rolled out",
			want:   undisturbed,
			inject: stops(status.ReasonSpecRefused, "mysql: {config: {transaction_isolation: nonsense}}", "transaction_isolation"),
		},
		{
			name:   "a setting with which mysqld ends again and again, and back",
			want:   undisturbed,
			inject: stops(stopped, "mysql: {config: {authentication_policy: 'nonsense_plugin,,'}}", "mysqld ended with exit status"),
		},
		{
			name:   "resources that no node has, and back",
			want:   undisturbed,
			inject: stops(stopped, "podTemplate: {spec: {resources: {requests: {cpu: '4000', memory: 768Mi}}}}", "Unschedulable"),
		},
	})
}

// rollOut changes the spec and waits, when the roles have changed, until both members run it.
func rollOut(fragment string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pods, err := st.podUIDs()
		if err != nil {
			return nil, err
		}
		if err := st.pair.PatchSpec(st.ctx, fragment); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			if err := st.pair.Await(ctx, harness.Patience, harness.True(v1alpha1.ConditionReady)...); err != nil {
				return err
			}
			now, err := st.podUIDs()
			for member, uid := range now {
				if pods[member] == uid {
					err = errors.Join(err, fmt.Errorf("the pod of %s was not made again", member))
				}
			}
			return err
		}, nil
	}
}

// takesOver changes settings that act without a restart, and waits until both members have them.
func takesOver(fragment, want string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		pods, err := st.podUIDs()
		if err != nil {
			return nil, err
		}
		if err := st.pair.PatchSpec(st.ctx, fragment); err != nil {
			return nil, err
		}
		if err := st.pair.Await(st.ctx, harness.Patience, harness.True(v1alpha1.ConditionReady)...); err != nil {
			return nil, err
		}
		now, err := st.podUIDs()
		for member, uid := range now {
			if pods[member] != uid {
				err = errors.Join(err, fmt.Errorf("the pod of %s was made again", member))
			}
			got, failed := st.pair.SQL(st.ctx, member, "SELECT @@GLOBAL.max_connections, @@GLOBAL.long_query_time, @@GLOBAL.sql_mode")
			if failed == nil && got != want {
				failed = fmt.Errorf("%s runs with %q, want %q", member, got, want)
			}
			err = errors.Join(err, failed)
		}
		return nil, err
	}
}

func (st *stage) podUIDs() (map[string]string, error) {
	uids := map[string]string{}
	for _, member := range st.pair.Members() {
		pod, err := st.pair.Pod(st.ctx, member)
		if err != nil {
			return nil, err
		}
		uids[member] = string(pod.UID)
	}
	return uids, nil
}

// rolledOut: the record says what the switchover was for, and it is no failover.
func rolledOut(st *stage) error {
	record, err := st.record()
	if err != nil {
		return err
	}
	if record.Spec.Type != v1alpha1.OperationSwitchover || record.Status.Rule != string(failover.RuleRollout) || record.Spec.Target != st.passive {
		return fmt.Errorf("operation %s is a %s by rule %s to %s", record.Name, record.Spec.Type, record.Status.Rule, record.Spec.Target)
	}
	return nil
}

// stops changes the spec so that it cannot be carried out, or the passive does not come back, and
// goes back.
func stops(reason, fragment, says string) injection {
	return func(st *stage) (func(context.Context) error, error) {
		object, err := st.pair.Object(st.ctx)
		if err != nil {
			return nil, err
		}
		primary, err := st.pair.Pod(st.ctx, st.primary)
		if err != nil {
			return nil, err
		}
		former := object.Spec
		back := func(ctx context.Context) error {
			return errors.Join(st.setSpec(ctx, former), st.pair.Await(ctx, harness.Patience, harness.True(v1alpha1.ConditionReady)...), st.sameSpec(ctx, former))
		}
		if err := st.pair.PatchSpec(st.ctx, fragment); err != nil {
			return nil, err
		}
		stopped := harness.Want{
			Type:    v1alpha1.ConditionReady,
			Status:  metav1.ConditionFalse,
			Reason:  reason,
			Message: says,
		}
		stalled := stopped
		stalled.Type = v1alpha1.ConditionStalled
		stalled.Status = metav1.ConditionTrue
		if err := st.pair.Await(st.ctx, harness.Patience, stopped, stalled); err != nil {
			return back, err
		}
		now, err := st.pair.Pod(st.ctx, st.primary)
		if err == nil && (now.UID != primary.UID || now.DeletionTimestamp != nil) {
			err = fmt.Errorf("the pod of the primary %s was touched", st.primary)
		}
		return back, err
	}
}

// setSpec puts a former spec back, as an apply of the former manifest does.
func (st *stage) setSpec(ctx context.Context, former v1alpha1.DatabasePairSpec) error {
	return harness.Eventually(ctx, harness.Patience, "the former spec", func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		object.Spec = former
		return st.pair.Update(ctx, object)
	})
}

// sameSpec: what was set is what is there.
func (st *stage) sameSpec(ctx context.Context, former v1alpha1.DatabasePairSpec) error {
	object, err := st.pair.Object(ctx)
	if err == nil && object.Spec.MySQL.Image != former.MySQL.Image {
		err = fmt.Errorf("the image is %s", object.Spec.MySQL.Image)
	}
	return err
}
