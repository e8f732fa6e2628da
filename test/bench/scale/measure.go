package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// singles are how many pairs lose their primary's mysqld, one after the other, and fewest how many pairs are needed.
	singles = 5
	fewest  = 2 * singles
	// together are how many pairs, at most, lose the node of their primary at once.
	together = 100
	// settle is the time for what an operator does once after a change.
	settle = 20 * time.Second
)

// result is what one number of pairs needs.
type result struct {
	pairs     int
	made      time.Duration
	idle      window
	restarted time.Duration
	singles   []time.Duration
	lost      []time.Duration
	// unrelated is how many other objects there were for crowded, and none for alone; 0 when that was not measured.
	unrelated int
	alone     window
	crowded   window
}

// bench is one number of pairs.
type bench struct {
	options
	world    *world
	operator *operator
	kubelet  *kubelet
	// pairs in the order of their names: the last ones lose a mysqld, the first ones a node.
	pairs []*standIn
}

func measure(ctx context.Context, o options, n, unrelated int) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := result{pairs: n, unrelated: unrelated}
	w, err := newWorld(ctx)
	if err != nil {
		return r, err
	}
	defer w.close()
	b := &bench{options: o, world: w}
	if b.operator, err = newOperator(ctx, w, o.manager); err != nil {
		return r, err
	}
	if err := b.begin(ctx, n); err != nil {
		return r, err
	}
	defer b.keepLog(n)
	if err := b.operator.start(ctx); err != nil {
		return r, err
	}
	for _, part := range []func(context.Context, *result) error{b.make, b.watchIdle, b.restart, b.killOne, b.crowd, b.loseNode} {
		if err := part(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, b.operator.stop()
}

// begin makes nodes, stand-ins and what plays their kubelets.
func (b *bench) begin(ctx context.Context, n int) error {
	byName := map[types.NamespacedName]*standIn{}
	for i := range n {
		name := types.NamespacedName{Namespace: fmt.Sprintf("pair-%04d", i), Name: "shop"}
		p := newStandIn(name, func(o pair.Ordinal) (address, node string) {
			const perNode = 200
			at := 2*i + int(o)
			return fmt.Sprintf("127.20.%d.%d", at/perNode, 1+at%perNode), fmt.Sprintf("node-%d-%d", o, i/together)
		})
		b.pairs = append(b.pairs, p)
		byName[name] = p
		for _, m := range p.members {
			if err := m.listen(ctx, b.world.admin); err != nil {
				return err
			}
		}
	}
	for o := range 2 {
		for rack := range (n + together - 1) / together {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d-%d", o, rack)}}
			if err := b.world.admin.Create(ctx, node); err != nil {
				return err
			}
		}
	}
	var err error
	b.kubelet, err = startKubelet(ctx, b.world, byName)
	return err
}

// make makes the pairs, a wave at a time, and waits until all of them could fail over.
func (b *bench) make(ctx context.Context, r *result) error {
	begun := time.Now()
	note("%d pairs are made", r.pairs)
	for i, p := range b.pairs {
		if i > 0 && i%together == 0 {
			if err := b.awaitReady(ctx, i); err != nil {
				return err
			}
			note("%d are ready", i)
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.name.Namespace}}
		// As a person writes it: what is not said gets the defaults.
		o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
			"mysql":   map[string]any{"image": "mysql:9.7"},
			"storage": map[string]any{"size": "1Gi"},
		}}}
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DatabasePair"))
		o.SetNamespace(p.name.Namespace)
		o.SetName(p.name.Name)
		for _, err := range []error{b.world.admin.Create(ctx, namespace), b.world.admin.Create(ctx, o)} {
			if err != nil {
				return err
			}
		}
	}
	if err := b.awaitReady(ctx, len(b.pairs)); err != nil {
		return err
	}
	r.made = time.Since(begun)
	return nil
}

// awaitReady waits until the status of n pairs says that they are ready.
func (b *bench) awaitReady(ctx context.Context, n int) error {
	told := time.Now()
	return await(ctx, "wait for all pairs to be ready", 40*time.Minute, func() error {
		var list v1alpha1.DatabasePairList
		if err := b.kubelet.List(ctx, &list); err != nil {
			return err
		}
		ready := 0
		why := "no status yet"
		for i := range list.Items {
			c := meta.FindStatusCondition(list.Items[i].Status.Conditions, v1alpha1.ConditionReady)
			switch {
			case c != nil && c.Status == metav1.ConditionTrue:
				ready++
			case c != nil:
				why = list.Items[i].Namespace + ": " + c.Reason + ": " + c.Message
			}
		}
		if ready >= n {
			return nil
		}
		if time.Since(told) > settle {
			note("%d of %d are ready; %s", ready, n, why)
			told = time.Now()
		}
		return fmt.Errorf("%d of %d; %s", ready, n, why)
	})
}

func (b *bench) watchIdle(ctx context.Context, r *result) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	note("an idle operator is watched")
	var err error
	r.idle, err = b.watch(ctx, fmt.Sprintf("idle-%d", r.pairs))
	return err
}

// restart ends the operator and waits until another one has heard every member and looked at every pair.
func (b *bench) restart(ctx context.Context, r *result) error {
	note("the operator is restarted")
	if err := b.operator.stop(); err != nil {
		return fmt.Errorf("end the operator: %w", err)
	}
	begun := time.Now()
	if err := b.operator.start(ctx); err != nil {
		return err
	}
	err := await(ctx, "wait for all pairs to be observed", 10*time.Minute, func() error {
		metrics, err := b.operator.scrape(ctx)
		if err != nil {
			return err
		}
		available := sum(metrics, "dbpair_pair_condition", map[string]string{"condition": v1alpha1.ConditionReady, "status": "True"})
		reached := sum(metrics, "dbpair_member_reachable", nil)
		if int(available) == len(b.pairs) && int(reached) == 2*len(b.pairs) {
			return nil
		}
		_ = pause(ctx, 400*time.Millisecond) // a scrape costs the operator a handshake
		return fmt.Errorf("%v pairs are ready and %v members answer", available, reached)
	})
	r.restarted = time.Since(begun)
	return errors.Join(err, pause(ctx, settle))
}

// killOne ends the mysqld of one primary after the other.
func (b *bench) killOne(ctx context.Context, r *result) error {
	note("mysqld of a primary is killed, %d times", singles)
	for _, p := range b.pairs[len(b.pairs)-singles:] {
		at, candidate := p.killMysqld()
		took, err := b.failedOver(ctx, p, at, candidate)
		if err != nil {
			return err
		}
		r.singles = append(r.singles, took)
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	return b.awaitReady(ctx, len(b.pairs))
}

// failedOver waits until the candidate is open and the Service leads to it, and returns how long that took from at on.
func (b *bench) failedOver(ctx context.Context, p *standIn, at time.Time, candidate pair.Ordinal) (took time.Duration, err error) {
	err = await(ctx, fmt.Sprintf("failover of %s", p.name), 3*time.Minute, func() error {
		end, ok := p.serves(candidate, at)
		if !ok {
			return errors.New("the candidate does not serve")
		}
		took = end.Sub(at)
		return nil
	})
	return took, err
}

// loseNode has the node of many primaries die.
func (b *bench) loseNode(ctx context.Context, r *result) error {
	lost := b.pairs[:min(together, len(b.pairs)-singles)]
	note("the node of %d primaries dies", len(lost))
	var at []time.Time
	var candidates []pair.Ordinal
	for _, p := range lost {
		when, candidate := p.loseNode()
		at = append(at, when)
		candidates = append(candidates, candidate)
	}
	for i, p := range lost {
		took, err := b.failedOver(ctx, p, at[i], candidates[i])
		if err != nil {
			return err
		}
		r.lost = append(r.lost, took)
	}
	slices.Sort(r.lost)
	return nil
}

// keepLog leaves the operator's log beside the profiles.
func (b *bench) keepLog(n int) {
	if b.profiles == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(b.world.folder, "operator.log"))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.profiles, fmt.Sprintf("operator-%d.log", n)), text, 0o600)
	}
	if err != nil {
		note("the operator's log is not kept: %s", err)
	}
}
