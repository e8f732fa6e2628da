package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// relabelPause is how long the well-known operator waits for the cluster's proxies after it took the label off.
const relabelPause = 300 * time.Millisecond

// relabel is the planned switchover of a well-known operator, which has no door: the label goes, so that the
// Service leads nowhere, a pause, the primary takes no more writes, sessions are killed, the passive
// has everything and becomes writable, and the Service is led to it. It returns for how
// long no member took writes.
func (p *plain) relabel(ctx context.Context) (time.Duration, error) {
	from := p.members[p.primary]
	to := p.members[1-p.primary]
	if err := p.label(ctx, from.name, ""); err != nil {
		return 0, err
	}
	if err := pause(ctx, relabelPause); err != nil {
		return 0, err
	}
	if err := from.exec(ctx, "SET GLOBAL super_read_only = ON"); err != nil {
		return 0, err
	}
	closed := time.Now()
	if err := from.killClients(ctx); err != nil {
		return 0, err
	}
	set, err := from.executed(ctx)
	if err != nil {
		return 0, err
	}
	if err := to.await(ctx, set); err != nil {
		return 0, err
	}
	if err := errors.Join(to.exec(ctx, "STOP REPLICA", "RESET REPLICA ALL"), to.open(ctx)); err != nil {
		return 0, err
	}
	gap := time.Since(closed)
	p.primary = 1 - p.primary
	return gap, errors.Join(p.label(ctx, to.name, "primary"), from.follow(ctx, to))
}

// deletePrimary deletes the primary's pod, and gives its successor the label as soon as it is there.
func (p *plain) deletePrimary(ctx context.Context) (time.Duration, error) {
	primary := p.members[p.primary]
	before, err := p.Pod(ctx, primary.name)
	if err != nil {
		return 0, err
	}
	if _, err := deletePod(ctx, p.Pair, primary.name); err != nil {
		return 0, err
	}
	err = harness.EventuallyEvery(ctx, 50*time.Millisecond, harness.Patience, "the next pod "+primary.name, func(ctx context.Context) error {
		pod, err := p.Pod(ctx, primary.name)
		if err != nil {
			return err
		}
		if pod.UID == before.UID {
			return harness.NotYet("the former pod is there")
		}
		return p.label(ctx, primary.name, "primary")
	})
	return 0, errors.Join(err, primary.connect(ctx))
}

// plainly measures something that is done to two mysqlds without an operator. What is done returns
// for how long no member took writes, 0 where nobody can say.
func plainly(act func(*plain, context.Context) (time.Duration, error)) func(context.Context, *bench, int) (*flips, error) {
	return func(ctx context.Context, b *bench, writers int) (*flips, error) {
		namespace, err := b.namespace(ctx)
		if err != nil {
			return nil, err
		}
		p, err := newPlain(ctx, b.Cluster, namespace)
		if err != nil {
			return nil, err
		}
		defer p.close()
		clients, err := p.StartClients(ctx)
		if err != nil {
			return nil, err
		}
		f := newFlips()
		var all []history.Attempt
		for n := range b.runs {
			attempts, err := p.round(ctx, clients, writers, f, act)
			if err != nil {
				return nil, fmt.Errorf("run %d: %w", n+1, err)
			}
			all = append(all, attempts...)
			rows, err := clients.Rows(ctx)
			if err != nil {
				return nil, err
			}
			f.lost = len(history.Lost(all, rows))
		}
		return f, nil
	}
}

// round is one of them, under load.
func (p *plain) round(ctx context.Context, clients *harness.Clients, writers int, f *flips,
	act func(*plain, context.Context) (time.Duration, error)) ([]history.Attempt, error) {
	if err := clients.Write(ctx, writers, benchPause); err != nil {
		return nil, err
	}
	if err := steady(ctx, clients); err != nil {
		return nil, err
	}
	members, err := act(p, ctx)
	if err != nil {
		return nil, err
	}
	if err := clients.AwaitAcks(ctx, harness.Patience, 200); err != nil {
		return nil, err
	}
	report, err := clients.Stop(ctx)
	if err != nil {
		return nil, err
	}
	gap, err := history.LongestGap(report.Attempts)
	if err != nil {
		return nil, err
	}
	f.count(report.Attempts)
	f.clients = append(f.clients, gap.Length())
	if members > 0 {
		f.members = append(f.members, members)
	}
	return report.Attempts, errors.Join(p.keepRoles(ctx), p.settled(ctx))
}
