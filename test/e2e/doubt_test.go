//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestDoubts: someone other than the operator changes what says who may be primary, as
// a cluster admin can, and nothing is guessed: the status names the doubt, the verb of the
// plugin resolves it, and no acknowledged write is lost on the way.
func TestDoubts(t *testing.T) {
	runFaults(t, "doubts", []fault{
		{
			name:   "Lease deleted",
			inject: deleteLease,
			want:   staysPut,
			doubt:  failover.RuleAuthorityMissing,
		},
		{
			name:   "Lease of an earlier time",
			inject: restoreLease,
			want:   failsOver,
			doubt:  failover.RuleAuthorityRolledBack,
		},
		{
			name:   "Lease that names the other member",
			inject: rewriteLease,
			want:   staysPut,
			doubt:  failover.RuleAuthorityChangedByOthers,
		},
		{
			name:   "Lease that names the other member, who is adopted",
			inject: adoptTheOther,
			want:   failsOver,
			doubt:  failover.RuleAuthorityChangedByOthers,
		},
		{
			name:   "Lease whose ledger was edited",
			inject: editLedger,
			want:   staysPut,
			doubt:  failover.RuleAuthorityChangedByOthers,
		},
		{
			name:   "Lease that cannot be read",
			inject: garbleLease,
			want:   staysPut,
			doubt:  failover.RuleAuthorityMalformed,
		},
		{
			name:   "fenced by a person",
			inject: fenceByHand,
			want:   either,
			doubt:  failover.RuleManuallyFenced,
		},
	})
}

func (st *stage) lease() *coordinationv1.Lease {
	st.Helper()
	var l coordinationv1.Lease
	st.must(cluster.Get(st.ctx, types.NamespacedName{Namespace: st.namespace, Name: st.pair.Name}, &l))
	return &l
}

// changeLease writes over the Lease, whatever the operator wrote at the same moment.
func (st *stage) changeLease(change func(*coordinationv1.Lease)) error {
	st.Helper()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		l := st.lease()
		change(l)
		return cluster.Update(st.ctx, l)
	})
}

// verb runs the plugin and confirms what it asks at the pair's present epoch.
func (st *stage) verb(ctx context.Context, args ...string) error {
	object, err := st.pair.Object(ctx)
	if err != nil {
		return err
	}
	confirm := fmt.Sprintf("%s/%d", st.pair.Name, object.Status.Epoch)
	_, err = cluster.Plugin(ctx, st.namespace, append(args, "--confirm", confirm, "--reason", "a test")...)
	return err
}

// pasted runs the command that a condition prints for this verb and member, with the flags it
// is printed with, as a person would who copies it, and types the confirmation that the plugin
// asks for.
func (st *stage) pasted(ctx context.Context, verb string, member ...string) error {
	want := strings.Join(append([]string{"kubectl", "dbpair", verb, st.pair.Name}, append(member, "-n", st.namespace)...), " ")
	printed := regexp.MustCompile(regexp.QuoteMeta(want) + `( --[a-z][a-z-]*)*`)
	command := ""
	if err := harness.Eventually(ctx, harness.Patience, "the command "+want, func(ctx context.Context) error {
		object, err := st.pair.Object(ctx)
		if err != nil {
			return err
		}
		for _, c := range object.Status.Conditions {
			if command = printed.FindString(c.Message); command != "" {
				return nil
			}
		}
		return harness.NotYet("no condition prints it: %s", harness.Conditions(object))
	}); err != nil {
		return err
	}
	return st.verb(ctx, strings.Fields(command)[2:]...)
}

func (st *stage) adopt(member string) func(context.Context) error {
	return func(ctx context.Context) error { return st.pasted(ctx, "adopt", member) }
}

// deleteLease: the members see each other, so the primary goes on.
func deleteLease(st *stage) (func(context.Context) error, error) {
	if err := cluster.Delete(st.ctx, st.lease()); err != nil {
		return nil, err
	}
	return st.adopt(st.primary), nil
}

// restoreLease is what a restored etcd looks like: the Lease names a member that has been
// failed over from since.
func restoreLease(st *stage) (func(context.Context) error, error) {
	before := st.lease()
	if err := st.verb(st.ctx, "failover", st.pair.Name); err != nil {
		return nil, err
	}
	if err := st.awaitFailover(); err != nil {
		return nil, err
	}
	if err := st.pair.AwaitReady(st.ctx); err != nil {
		return nil, err
	}
	err := st.changeLease(func(now *coordinationv1.Lease) {
		now.Annotations = before.Annotations
		now.Spec = before.Spec
	})
	if err != nil {
		return nil, err
	}
	return st.adopt(st.passive), nil
}

// adoptTheOther appoints the passive by hand and adopts its data: the pod that the Service
// led to is deleted before the Service leads to the other mysqld, which the watch of routes
// checks. What the former primary has beyond is not acknowledged, and kept until given up.
func adoptTheOther(st *stage) (func(context.Context) error, error) {
	if _, err := rewriteLease(st); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := st.adopt(st.passive)(ctx); err != nil {
			return err
		}
		if err := st.in(ctx).awaitFailover(); err != nil {
			return err
		}
		kept := false
		err := harness.Eventually(ctx, harness.Patience, "the former primary to follow, or to be held", func(ctx context.Context) error {
			object, err := st.pair.Object(ctx)
			if err != nil {
				return err
			}
			for _, c := range object.Status.Conditions {
				kept = kept || strings.Contains(c.Message, "data is kept as it is") || strings.Contains(c.Message, "rewound or seeded again")
			}
			if !kept && !meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionFailoverReady) {
				return harness.NotYet("%s", harness.Conditions(object))
			}
			return nil
		})
		if err == nil && kept {
			err = st.copyAgain(ctx)
		}
		return err
	}, nil
}

// rewriteLease appoints the passive by hand, without any proof, and adopts the former
// primary, to which the Service leads.
func rewriteLease(st *stage) (func(context.Context) error, error) {
	pod, err := st.pair.Pod(st.ctx, st.passive)
	if err != nil {
		return nil, err
	}
	holder := pair.Holder{Member: pair.MemberName(st.passive), PodUID: pair.PodUID(pod.UID)}.String()
	err = st.changeLease(func(l *coordinationv1.Lease) {
		epoch := *l.Spec.LeaseTransitions + 1
		l.Spec.HolderIdentity = &holder
		l.Spec.LeaseTransitions = &epoch
	})
	if err != nil {
		return nil, err
	}
	return st.adopt(st.primary), nil
}

// editLedger claims, at the same version, that the passive alone has every acknowledged
// write. Seen once, it must not count as known from then on.
func editLedger(st *stage) (func(context.Context) error, error) {
	err := st.changeLease(func(l *coordinationv1.Lease) {
		var ledger map[string]any
		st.must(json.Unmarshal([]byte(l.Annotations[ledgerAnnotation]), &ledger))
		ledger["state"], ledger["first"] = "solo", st.passive
		text, err := json.Marshal(ledger)
		st.must(err)
		l.Annotations[ledgerAnnotation] = string(text)
	})
	if err != nil {
		return nil, err
	}
	want := harness.Want{Type: v1alpha1.ConditionInDoubt, Status: metav1.ConditionTrue}
	if err := st.pair.Await(st.ctx, harness.Patience, want); err != nil {
		return nil, err
	}
	lasts := harness.Consistently(st.ctx, 2*leaseDuration, "the doubt about an edited ledger", func(ctx context.Context) error {
		return st.pair.Await(ctx, leaseDuration, want)
	})
	return st.adopt(st.primary), lasts
}

// garbleLease leaves a Lease that says nothing.
func garbleLease(st *stage) (func(context.Context) error, error) {
	err := st.changeLease(func(l *coordinationv1.Lease) { l.Annotations[ledgerAnnotation] = "{" })
	return st.adopt(st.primary), err
}

const ledgerAnnotation = "dbpair.io/ledger"

func fenceByHand(st *stage) (func(context.Context) error, error) {
	if err := st.verb(st.ctx, "fence", st.pair.Name); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return st.pasted(ctx, "release") }, nil
}
