// Command scale measures what one operator needs for many pairs, and prints it as tables in Markdown. The operator is the real
// program, the API server a real one; the members are stand-ins in this process: see pair.go.
//
//	scale MANAGER    MANAGER is the operator's program, built with the version "bench"
//
// KUBEBUILDER_ASSETS names the folder of kube-apiserver and etcd. BENCH_PAIRS are the numbers of pairs, each measured with an API
// server of its own ("10,100,1000"), BENCH_UNRELATED how many objects that are not the operator's are made beside the last number
// (8000), BENCH_WINDOW for how long an idle operator is watched ("60s"), BENCH_PROFILE a folder for profiles of it (none).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctrl.SetLogger(logr.Discard())
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// options are what is measured.
type options struct {
	manager   string
	sizes     []int
	unrelated int
	window    time.Duration
	// profiles is a folder; empty for no profiles.
	profiles string
}

func parse(args []string) (options, error) {
	if len(args) != 1 {
		return options{}, errors.New("usage: scale MANAGER")
	}
	o := options{manager: args[0], profiles: os.Getenv("BENCH_PROFILE")}
	var errs []error
	for text := range strings.SplitSeq(or("BENCH_PAIRS", "10,100,1000"), ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < fewest {
			errs = append(errs, fmt.Errorf("BENCH_PAIRS: %q: want numbers from %d", text, fewest))
		}
		o.sizes = append(o.sizes, n)
	}
	var err error
	if o.unrelated, err = strconv.Atoi(or("BENCH_UNRELATED", "8000")); err != nil {
		errs = append(errs, fmt.Errorf("BENCH_UNRELATED: %w", err))
	}
	if o.window, err = time.ParseDuration(or("BENCH_WINDOW", "60s")); err != nil {
		errs = append(errs, fmt.Errorf("BENCH_WINDOW: %w", err))
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		errs = append(errs, errors.New("KUBEBUILDER_ASSETS is not set: export KUBEBUILDER_ASSETS=$(hack/envtest.sh)"))
	}
	return o, errors.Join(errs...)
}

func or(name, fallback string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return fallback
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	var results []result
	for i, n := range o.sizes {
		unrelated := 0
		if i == len(o.sizes)-1 {
			unrelated = o.unrelated
		}
		r, err := measure(ctx, o, n, unrelated)
		if err != nil {
			return fmt.Errorf("with %d pairs: %w", n, err)
		}
		results = append(results, r)
	}
	printResults(os.Stdout, results)
	return nil
}

// note tells what goes on; the results go to the standard output.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
