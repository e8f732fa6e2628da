package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// manner is how planned switchovers are measured.
type manner struct {
	oldPrimary v1alpha1.OldPrimary
	writers    int
}

// flips is what a number of switchovers cost clients.
type flips struct {
	members, clients series
	writes           int
	// refused are attempts that got no session; broken are writes on a session that was
	// closed meanwhile, which a pool asks for once more.
	refused, broken int
	// rolledBack are switchovers after which the former primary went on; their gaps do not count.
	rolledBack int
	errors     map[string]int
}

// switchover measures planned switchovers there and back, under load through the Service.
func switchover(ctx context.Context, b *bench) error {
	fmt.Println("| old primary | writers | runs | gap at the members: median | worst | gap at the clients: median | worst | " +
		"writes | connections refused | sessions found closed | rolled back |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, old := range []v1alpha1.OldPrimary{v1alpha1.DemotePrimary, v1alpha1.DeletePod} {
		for _, writers := range []int{8, 64} {
			m := manner{
				oldPrimary: old,
				writers:    writers,
			}
			f, err := b.flip(ctx, m)
			if err != nil {
				return fmt.Errorf("%s with %d writers: %w", old, writers, err)
			}
			fmt.Printf("| %s | %d | %d | %s | %s | %s | %s | %d | %d | %d | %d |\n", old, writers, len(f.clients),
				rounded(f.members.median()), rounded(f.members.worst()), rounded(f.clients.median()), rounded(f.clients.worst()),
				f.writes, f.refused, f.broken, f.rolledBack)
			for text, count := range f.errors {
				fmt.Printf("  %d times: %s\n", count, text)
			}
			b.cleanUp()
		}
	}
	return nil
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func (b *bench) flip(ctx context.Context, m manner) (*flips, error) {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	pair := b.Pair(namespace, "shop")
	if err := pair.Apply(ctx, benchSpec); err != nil {
		return nil, err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return nil, err
	}
	run, err := pair.NewRun(ctx)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	f := &flips{errors: map[string]int{}}
	for n := range b.runs {
		if err := b.flipOnce(ctx, m, pair, run, f); err != nil {
			return nil, fmt.Errorf("run %d: %w", n+1, err)
		}
	}
	return f, nil
}

// flipOnce is one switchover. Its run is verified, as that of every fault is.
func (b *bench) flipOnce(ctx context.Context, m manner, pair *harness.Pair, run *harness.Run, f *flips) error {
	if err := run.Load(ctx, m.writers, benchPause); err != nil {
		return err
	}
	if err := atRest(ctx, run); err != nil {
		return err
	}
	primary, err := pair.Primary(ctx)
	if err != nil {
		return err
	}
	pod, err := pair.Pod(ctx, primary)
	if err != nil {
		return err
	}
	if m.oldPrimary == v1alpha1.DemotePrimary {
		run.Demoted(string(pod.UID))
	}
	out, err := b.Plugin(ctx, pair.Namespace, "switchover", pair.Name, "--old-primary", string(m.oldPrimary), "--wait")
	rolledBack := err != nil && strings.Contains(out+err.Error(), string(v1alpha1.OperationAbandoned))
	if err != nil && !rolledBack {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := run.Clients.AwaitAcks(ctx, harness.Patience, 200); err != nil {
		return err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return err
	}
	result, err := run.Verify(ctx)
	if err != nil {
		return err
	}
	f.count(result.Report.Attempts)
	if rolledBack {
		fmt.Printf("rolled back: %s\n", out)
		f.rolledBack++
		return nil
	}
	members, err := lastSwitchover(ctx, pair)
	if err != nil {
		return err
	}
	f.members = append(f.members, members)
	f.clients = append(f.clients, result.Gap.Length())
	return nil
}

func (f *flips) count(attempts []history.Attempt) {
	for _, a := range attempts {
		switch {
		case a.Acknowledged():
			f.writes++
		case a.Server == "":
			f.refused++
			f.errors[a.Error]++
		default:
			f.broken++
			f.errors[a.Error]++
		}
	}
}

// lastSwitchover is the write gap of the newest switchover, as the members measured it.
func lastSwitchover(ctx context.Context, pair *harness.Pair) (time.Duration, error) {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return 0, err
	}
	last, found := newestOf(operations, v1alpha1.OperationSwitchover)
	if !found || last.Status.WriteGap == nil {
		return 0, errors.New("the switchover has no write gap in its status")
	}
	return last.Status.WriteGap.Duration, nil
}
