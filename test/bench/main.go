// Command bench measures what docs/benchmarks.md states, on the cluster that KUBECONFIG
// names, and prints it as tables in Markdown:
//
//	bench bootstrap    from apply to Available; what the operator needs
//	bench failover     how long writes stop, by fault; what an idle pair asks of the API server
//	bench switchover   what planned switchovers under load cost clients, beside a sequence without a door and kubectl delete pod
//	bench clients      what programs in several languages meet, by fault; with and without a door that holds them
//	bench durability   commits per second and latency, Lossless beside Async, and the passive's backlog
//	bench return       a killed primary until it is in sync again; a re-seed beside cp and beside a new claim
//
// BENCH_RUNS is how often each is measured (10), BENCH_ONLY a pattern of the names of the faults and ways that are
// (all; with clients a name ends in ", Hold" or ", Error"), BENCH_WORKERS how many connections each program has (4),
// BENCH_PAUSE how long each of them waits between two transactions (0s), BENCH_LOAD how long a round of durability
// writes (20s), BENCH_WRITERS how many do (1,16,64), BENCH_SPEC what the pairs of clients and durability have beside the
// defaults (YAML of a spec), BENCH_PAIRS with how many pairs the operator's needs are measured (20; less on a small machine),
// BENCH_SIZES how much data the members of return have (1Gi; several are measured one after the other). It installs
// the chart and removes what it made.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	what := map[string]func(context.Context, *bench) error{
		"bootstrap":  bootstrap,
		"failover":   failover,
		"switchover": switchover,
		"clients":    clients,
		"durability": durability,
		"return":     returning,
	}
	if len(args) != 1 || what[args[0]] == nil {
		return errors.New("usage: bench bootstrap|failover|switchover|clients|durability|return")
	}
	runs, errRuns := number("BENCH_RUNS", 10)
	pairs, errPairs := number("BENCH_PAIRS", 20)
	cluster, errConnect := harness.Connect()
	if err := errors.Join(errRuns, errPairs, errConnect); err != nil {
		return err
	}
	if err := cluster.Install(ctx); err != nil {
		return err
	}
	if err := cluster.AwaitLeader(ctx); err != nil {
		return err
	}
	b := &bench{
		Cluster: cluster,
		runs:    runs,
		pairs:   pairs,
	}
	defer b.cleanUp()
	return what[args[0]](ctx, b)
}

func number(name string, fallback int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s=%q: want a number from 1", name, text)
	}
	return n, nil
}

// numbers reads a list with commas.
func numbers(name string, fallback ...int) ([]int, error) {
	text := os.Getenv(name)
	if text == "" {
		return fallback, nil
	}
	var list []int
	for one := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(one)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%q: want numbers from 1, such as 1,16,64", name, text)
		}
		list = append(list, n)
	}
	return list, nil
}

// bench is one set of measurements.
type bench struct {
	*harness.Cluster
	runs, pairs int
	namespaces  []string
}

func (b *bench) namespace(ctx context.Context) (string, error) {
	name, err := b.NewNamespace(ctx, "bench")
	if err == nil {
		b.namespaces = append(b.namespaces, name)
	}
	return name, err
}

func (b *bench) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, name := range b.namespaces {
		if err := b.DeleteNamespace(ctx, name); err != nil {
			fmt.Fprintln(os.Stderr, "clean up:", err)
		}
	}
	b.namespaces = nil
}

// series are the measurements of one quantity.
type series []time.Duration

func (s series) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func (s series) worst() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return slices.Max(s)
}

func printSeries(rows []string, values map[string]series) {
	fmt.Println("| what | runs | median | worst |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, row := range rows {
		v := values[row]
		fmt.Printf("| %s | %d | %s | %s |\n", row, len(v), v.median().Round(time.Millisecond), v.worst().Round(time.Millisecond))
	}
	fmt.Println()
}
