package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// way is one of changing the primary, or of ending it, that is measured.
type way struct {
	name string
	// flip does it BENCH_RUNS times under a number of writers.
	flip func(ctx context.Context, b *bench, writers int) (*flips, error)
}

// ways are measured in one run, so that they can be compared.
func ways() []way {
	return []way{
		{
			name: "planned switchover, Demote",
			flip: ours(switchedOverAs(v1alpha1.DemotePrimary)),
		},
		{
			name: "planned switchover, DeletePod",
			flip: ours(switchedOverAs(v1alpha1.DeletePod)),
		},
		{
			name: "kubectl delete pod of the primary",
			flip: ours(primaryDeleted),
		},
		{
			name: "without dbpair: label off, 0.3 s, kill sessions, label on",
			flip: plainly((*plain).relabel),
		},
		{
			name: "without dbpair: kubectl delete pod of the primary",
			flip: plainly((*plain).deletePrimary),
		},
	}
}

// flips is what a number of changes cost clients.
type flips struct {
	members, clients series
	writes           int
	// refused are attempts that got no session; broken are writes on a session that was
	// closed meanwhile, which a pool asks for once more; failed are those that got another error
	// or no answer.
	refused, broken, failed int
	// longest is what the slowest attempt took.
	longest time.Duration
	// held are clients that waited at a door, one of them for longestHold.
	held        int
	longestHold time.Duration
	// rolledBack are switchovers after which the former primary went on; their gaps do not count.
	rolledBack int
	// lost are acknowledged writes that are gone.
	lost   int
	errors map[string]int
}

func newFlips() *flips { return &flips{errors: map[string]int{}} }

// switchover measures planned switchovers there and back under load through the Service, and beside them what
// there is without a door.
func switchover(ctx context.Context, b *bench) error {
	only, err := regexp.Compile(os.Getenv("BENCH_ONLY"))
	if err != nil {
		return fmt.Errorf("BENCH_ONLY: %w", err)
	}
	fmt.Println("| what | writers | runs | gap at the members: median | worst | gap at the clients: median | worst | " +
		"writes | connections refused | sessions found closed | writes failed | clients held | longest hold | slowest write | rolled back | writes lost |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, w := range ways() {
		if !only.MatchString(w.name) {
			continue
		}
		for _, writers := range []int{8, 64} {
			f, err := w.flip(ctx, b, writers)
			if err != nil {
				return fmt.Errorf("%s, %d writers: %w", w.name, writers, err)
			}
			fmt.Println(f.row(w.name, writers))
			for text, count := range f.errors {
				fmt.Printf("  %d times: %s\n", count, text)
			}
			b.cleanUp()
		}
	}
	return nil
}

func (f *flips) row(name string, writers int) string {
	members := "| | "
	if len(f.members) > 0 {
		members = fmt.Sprintf("| %s | %s ", rounded(f.members.median()), rounded(f.members.worst()))
	}
	return fmt.Sprintf("| %s | %d | %d %s| %s | %s | %d | %d | %d | %d | %d | %s | %s | %d | %d |", name, writers, len(f.clients), members,
		rounded(f.clients.median()), rounded(f.clients.worst()), f.writes, f.refused, f.broken, f.failed, f.held, rounded(f.longestHold),
		rounded(f.longest), f.rolledBack, f.lost)
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// change is what is done to the primary of a pair of ours. rolledBack: the former primary went on.
type change func(ctx context.Context, b *bench, run *harness.Run, pod *corev1.Pod) (rolledBack bool, err error)

func switchedOverAs(old v1alpha1.OldPrimary) change {
	return func(ctx context.Context, b *bench, run *harness.Run, pod *corev1.Pod) (bool, error) {
		if old == v1alpha1.DemotePrimary {
			run.Demoted(string(pod.UID))
		}
		out, err := b.Plugin(ctx, run.Pair.Namespace, "switchover", run.Pair.Name, "--old-primary", string(old), "--wait")
		if err != nil && strings.Contains(out+err.Error(), string(v1alpha1.OperationAbandoned)) {
			fmt.Printf("rolled back: %s\n", out)
			return true, nil
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return false, err
	}
}

// primaryDeleted deletes the primary's pod, and waits until the roles have changed.
func primaryDeleted(ctx context.Context, b *bench, run *harness.Run, pod *corev1.Pod) (bool, error) {
	if _, err := deletePod(ctx, run.Pair, pod.Name); err != nil {
		return false, err
	}
	return false, harness.Eventually(ctx, harness.Patience, "another primary", func(ctx context.Context) error {
		primary, err := run.Pair.Primary(ctx)
		if err == nil && primary == pod.Name {
			err = harness.NotYet("it is %s", primary)
		}
		return err
	})
}

// ours measures a change of a pair's primary.
func ours(do change) func(context.Context, *bench, int) (*flips, error) {
	return func(ctx context.Context, b *bench, writers int) (*flips, error) {
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
		f := newFlips()
		for n := range b.runs {
			if err := b.flipOnce(ctx, do, run, writers, f); err != nil {
				return nil, fmt.Errorf("run %d: %w", n+1, err)
			}
		}
		return f, nil
	}
}

// flipOnce is one change. Its run is verified, as that of every fault is: no write is lost.
func (b *bench) flipOnce(ctx context.Context, do change, run *harness.Run, writers int, f *flips) error {
	pair := run.Pair
	if err := run.Load(ctx, writers, benchPause); err != nil {
		return err
	}
	if err := steady(ctx, run.Clients); err != nil {
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
	before, err := lastChange(ctx, pair)
	if err != nil {
		return err
	}
	rolledBack, err := do(ctx, b, run, pod)
	if err != nil {
		return err
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
		f.rolledBack++
		return nil
	}
	f.clients = append(f.clients, result.Gap.Length())
	last, err := lastChange(ctx, pair)
	if err == nil && last.Name != before.Name {
		f.account(last.Status)
	}
	return err
}

// account adds what the record of a change says.
func (f *flips) account(s v1alpha1.OperationStatus) {
	if s.WriteGap != nil {
		f.members = append(f.members, s.WriteGap.Duration)
	}
	if s.Held != nil {
		f.held += int(s.Held.Clients)
		f.longestHold = max(f.longestHold, s.Held.Longest.Duration)
	}
}

func (f *flips) count(attempts []history.Attempt) {
	for _, a := range attempts {
		f.longest = max(f.longest, a.Done.Sub(a.Sent))
		switch {
		case a.Acknowledged():
			f.writes++
		case a.Server == "":
			f.refused++
			f.errors[a.Error]++
		case a.Error == mysql.ErrInvalidConn.Error(), a.Error == driver.ErrBadConn.Error():
			f.broken++
			f.errors[a.Error]++
		default:
			f.failed++
			f.errors[a.Error]++
		}
	}
}

// lastChange is the newest switchover or failover, which has the write gap as the members measured it; the zero
// value when there was none.
func lastChange(ctx context.Context, pair *harness.Pair) (v1alpha1.DatabasePairOperation, error) {
	operations, err := pair.Operations(ctx)
	if err != nil {
		return v1alpha1.DatabasePairOperation{}, err
	}
	last, _ := newestOf(operations, v1alpha1.OperationSwitchover, v1alpha1.OperationFailover)
	return last, nil
}
