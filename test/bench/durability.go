package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// durability measures what waiting for the passive costs the primary's clients, and how far the
// passive falls behind the smallest commits that a number of writers can make. Its backlog is what
// a failover would have to apply first. Rounds of both kinds take turns, so that both meet the same
// machine.
func durability(ctx context.Context, b *bench) error {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	loadFor, err := time.ParseDuration(cmp.Or(os.Getenv("BENCH_LOAD"), "20s"))
	if err != nil {
		return fmt.Errorf("BENCH_LOAD: %w", err)
	}
	writers, err := numbers("BENCH_WRITERS", 1, 16, 64)
	if err != nil {
		return err
	}
	kinds := []v1alpha1.DurabilityMode{v1alpha1.Lossless, v1alpha1.Async}
	loads := map[v1alpha1.DurabilityMode]map[int]*loaded{}
	pairs := map[v1alpha1.DurabilityMode]*harness.Pair{}
	clients := map[v1alpha1.DurabilityMode]*harness.Clients{}
	for _, kind := range kinds {
		loads[kind] = map[int]*loaded{}
		pairs[kind] = b.Pair(namespace, strings.ToLower(string(kind)))
		if err := pairs[kind].Apply(ctx, fmt.Sprintf("durability: {mode: %s}", kind), cmp.Or(os.Getenv("BENCH_SPEC"), "{}")); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		if err := pairs[kind].AwaitReady(ctx); err != nil {
			return err
		}
		if clients[kind], err = pairs[kind].StartClients(ctx); err != nil {
			return err
		}
	}
	for range b.runs {
		for _, n := range writers {
			for _, kind := range kinds {
				if loads[kind][n] == nil {
					loads[kind][n] = &loaded{}
				}
				if err := load(ctx, pairs[kind], clients[kind], n, loadFor, loads[kind][n]); err != nil {
					return fmt.Errorf("%s with %d writers: %w", kind, n, err)
				}
			}
		}
	}
	fmt.Printf("Rounds of %s each, without a pause between commits.\n\n", loadFor)
	fmt.Println("| durability | writers | rounds | commits per second: median | least | latency: median | p99 | worst | passive caught up after: median | worst |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, n := range writers {
		for _, kind := range kinds {
			fmt.Println(loads[kind][n].row(kind, n))
		}
	}
	for _, n := range writers {
		fmt.Printf("\n%d writers: Lossless makes %.2f of the commits of Async.\n", n, loads[v1alpha1.Lossless][n].rate()/loads[v1alpha1.Async][n].rate())
	}
	return nil
}

// loaded is what rounds of load measured.
type loaded struct {
	rates   []float64
	latency series
	backlog series
}

func (l *loaded) rate() float64 {
	sorted := slices.Sorted(slices.Values(l.rates))
	return sorted[len(sorted)/2]
}

func (l *loaded) row(kind v1alpha1.DurabilityMode, writers int) string {
	sorted := slices.Sorted(slices.Values(l.latency))
	last := len(sorted) - 1
	p99 := sorted[last*99/100]
	fine := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("| %s | %d | %d | %.0f | %.0f | %s | %s | %s | %s | %s |", kind, writers, len(l.rates), l.rate(), slices.Min(l.rates),
		fine(l.latency.median()), fine(p99), fine(l.latency.worst()), rounded(l.backlog.median()), rounded(l.backlog.worst()))
}

// load is one round.
func load(ctx context.Context, pair *harness.Pair, clients *harness.Clients, writers int, loadFor time.Duration, into *loaded) error {
	primary, err := pair.Primary(ctx)
	if err != nil {
		return err
	}
	if err := clients.Write(ctx, writers, 0); err != nil {
		return err
	}
	if err := pause(ctx, loadFor); err != nil {
		return err
	}
	report, err := clients.Stop(ctx)
	if err != nil {
		return err
	}
	backlog, err := caughtUp(ctx, pair, primary)
	if err != nil {
		return err
	}
	acknowledged := 0
	for _, a := range report.Attempts {
		if a.Acknowledged() {
			acknowledged++
			into.latency = append(into.latency, a.Done.Sub(a.Sent))
		}
	}
	if acknowledged == 0 {
		return fmt.Errorf("no write of %d was acknowledged", len(report.Attempts))
	}
	into.rates = append(into.rates, float64(acknowledged)/loadFor.Seconds())
	into.backlog = append(into.backlog, backlog)
	return nil
}

// caughtUp is how long the passive takes to execute what the primary has executed now, less what
// asking it takes.
func caughtUp(ctx context.Context, pair *harness.Pair, primary string) (time.Duration, error) {
	executed, err := pair.SQL(ctx, primary, "SELECT @@GLOBAL.gtid_executed")
	if err != nil {
		return 0, err
	}
	executed = strings.NewReplacer("\\n", "", "\n", "").Replace(executed)
	began := time.Now()
	wait := fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 300)", executed)
	if _, err := pair.SQL(ctx, pair.Peer(primary), wait); err != nil {
		return 0, err
	}
	waited := time.Since(began)
	began = time.Now()
	if _, err := pair.SQL(ctx, pair.Peer(primary), "SELECT 1"); err != nil {
		return 0, err
	}
	return max(waited-time.Since(began), 0), nil
}
