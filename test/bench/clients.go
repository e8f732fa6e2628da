package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// afterwards is for how long programs are watched once the pair is ready again, before the next fault.
const afterwards = 3 * time.Second

// clientFault is what programs are measured by.
type clientFault struct {
	name   string
	inject func(context.Context, *bench, *harness.Pair) (heal func(context.Context) error, err error)
}

func clientFaults() []clientFault {
	return []clientFault{
		{
			name:   "planned switchover, Demote",
			inject: switchedOver(v1alpha1.DemotePrimary),
		},
		{
			name:   "planned switchover, DeletePod",
			inject: switchedOver(v1alpha1.DeletePod),
		},
		{
			name:   "mysqld killed",
			inject: ofPrimary(killMysqld),
		},
		{
			name:   "both pods deleted",
			inject: bothPodsDeleted,
		},
		{
			name:   "node cut off",
			inject: ofPrimary(cutNode),
		},
	}
}

func switchedOver(old v1alpha1.OldPrimary) func(context.Context, *bench, *harness.Pair) (func(context.Context) error, error) {
	return func(ctx context.Context, b *bench, pair *harness.Pair) (func(context.Context) error, error) {
		out, err := b.Plugin(ctx, pair.Namespace, "switchover", pair.Name, "--old-primary", string(old), "--wait")
		if err != nil && strings.Contains(out+err.Error(), string(v1alpha1.OperationAbandoned)) {
			fmt.Printf("  rolled back: %s\n", out)
			return nil, nil
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return nil, err
	}
}

type memberFault func(context.Context, *harness.Pair, string) (func(context.Context) error, error)

func ofPrimary(inject memberFault) func(context.Context, *bench, *harness.Pair) (func(context.Context) error, error) {
	return func(ctx context.Context, _ *bench, pair *harness.Pair) (func(context.Context) error, error) {
		primary, err := pair.Primary(ctx)
		if err != nil {
			return nil, err
		}
		return inject(ctx, pair, primary)
	}
}

func bothPodsDeleted(ctx context.Context, _ *bench, pair *harness.Pair) (func(context.Context) error, error) {
	var err error
	for _, member := range pair.Members() {
		_, failed := deletePod(ctx, pair, member)
		err = errors.Join(err, failed)
	}
	return nil, err
}

// clients measures what programs in several languages meet, all at the same time and on the same
// pair: with doors that hold clients while nobody is open, which is the default, and with doors
// that refuse them.
func clients(ctx context.Context, b *bench) error {
	workers, errWorkers := number("BENCH_WORKERS", 4)
	between, errBetween := time.ParseDuration(cmp.Or(os.Getenv("BENCH_PAUSE"), "0s"))
	only, errOnly := regexp.Compile(os.Getenv("BENCH_ONLY"))
	if err := errors.Join(errWorkers, errBetween, errOnly); err != nil {
		return err
	}
	for _, f := range clientFaults() {
		for _, onRoleChange := range []string{"Hold", "Error"} {
			name := f.name + ", " + onRoleChange
			if !only.MatchString(name) {
				continue
			}
			seen, rounds, err := b.meet(ctx, f, onRoleChange, workers, between)
			fmt.Printf("\n%s, `onRoleChange: %s`, %d connections of each program, %s between transactions, %d rounds:\n\n",
				f.name, onRoleChange, workers, between, rounds)
			printMet(seen)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.cleanUp()
		}
	}
	return nil
}

func printMet(seen map[string]*met) {
	fmt.Println("| program | transactions | connections that failed | sessions found closed | transactions broken off | hung | " +
		"longest time without a commit: median | worst | longest attempt |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, program := range slices.Sorted(maps.Keys(seen)) {
		fmt.Println(seen[program].row(program))
	}
	for _, program := range slices.Sorted(maps.Keys(seen)) {
		for _, text := range slices.Sorted(maps.Keys(seen[program].errors)) {
			fmt.Printf("  %s: %d times %s\n", program, seen[program].errors[text], text)
		}
	}
}

// met is what one program met.
type met struct {
	committed, refused, closed, broken, hung int

	gaps    series
	longest time.Duration
	errors  map[string]int
}

func (m *met) row(program string) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %s | %s | %s |", program, m.committed, m.refused, m.closed, m.broken, m.hung,
		rounded(m.gaps.median()), rounded(m.gaps.worst()), rounded(m.longest))
}

// meet has all programs work on one pair while a fault happens a number of times. Beside an error it returns what was
// seen before, and in how many rounds.
func (b *bench) meet(ctx context.Context, f clientFault, onRoleChange string, workers int, between time.Duration) (
	seen map[string]*met, rounds int, err error,
) {
	seen = map[string]*met{}
	namespace, err := b.namespace(ctx)
	if err != nil {
		return seen, 0, err
	}
	pair := b.Pair(namespace, "shop")
	doors := "services: {primary: {onRoleChange: " + onRoleChange + "}}"
	if err := pair.Apply(ctx, benchSpec, doors, cmp.Or(os.Getenv("BENCH_SPEC"), "{}")); err != nil {
		return seen, 0, err
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return seen, 0, err
	}
	programs, err := pair.StartPrograms(ctx)
	if err != nil {
		return seen, 0, err
	}
	if err := programs.Start(ctx, workers, between); err != nil {
		return seen, 0, err
	}
	if err := allCommit(ctx, programs, workers); err != nil {
		return seen, 0, err
	}
	for ; rounds < b.runs; rounds++ {
		tries, err := b.meetOnce(ctx, f, pair, programs)
		if err != nil {
			return seen, rounds, fmt.Errorf("round %d: %w", rounds+1, err)
		}
		judgeTries(seen, tries)
	}
	_, err = programs.Stop(ctx)
	return seen, rounds, err
}

// allCommit waits until interpreters have started and pools are full: every worker of every program commits, and in five more
// seconds no other has come.
func allCommit(ctx context.Context, programs *harness.Programs, workers int) error {
	type worker struct {
		program string
		number  int
	}
	before := 0
	return harness.Eventually(ctx, harness.Patience, "commits of every worker", func(ctx context.Context) error {
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		tries, err := programs.Tries(ctx)
		if err != nil {
			return err
		}
		committing := map[worker]bool{}
		for _, t := range tries {
			if t.OK() {
				committing[worker{t.Program, t.Worker}] = true
			}
		}
		n := len(committing)
		settled := n > 0 && n%workers == 0 && n == before
		before = n
		if !settled {
			return harness.NotYet("%d workers commit", n)
		}
		return nil
	})
}

func (b *bench) meetOnce(ctx context.Context, f clientFault, pair *harness.Pair, programs *harness.Programs) ([]history.Try, error) {
	if err := pause(ctx, afterwards); err != nil {
		return nil, err
	}
	heal, err := f.inject(ctx, b, pair)
	if err != nil {
		return nil, err
	}
	if heal != nil {
		if err := pair.Await(ctx, harness.Patience, harness.True(v1alpha1.ConditionAvailable)...); err != nil {
			return nil, err
		}
		if err := pause(ctx, 30*time.Second); err != nil { // clients of a node that vanished take their time
			return nil, err
		}
		if err := heal(ctx); err != nil {
			return nil, err
		}
	}
	if err := pair.AwaitReady(ctx); err != nil {
		return nil, err
	}
	return programs.Tries(ctx)
}

// judgeTries adds what one round's tries say of each program.
func judgeTries(seen map[string]*met, tries []history.Try) {
	commits := map[string][]history.Stamp{}
	for _, t := range tries {
		m := seen[t.Program]
		if m == nil {
			m = &met{errors: map[string]int{}}
			seen[t.Program] = m
		}
		m.longest = max(m.longest, t.Done.Sub(t.Sent))
		switch {
		case t.Hung:
			m.hung++
		case t.Step == history.StepConnect:
			m.refused++
		case t.Step == history.StepBegin:
			m.closed++
		case t.Step == history.StepMiddle:
			m.broken++
		default:
			m.committed++
			commits[t.Program] = append(commits[t.Program], t.Done)
		}
		if t.Error != "" {
			m.errors[string(t.Step)+": "+t.Error]++
		}
	}
	for program, stamps := range commits {
		slices.Sort(stamps)
		var longest time.Duration
		for i := 1; i < len(stamps); i++ {
			longest = max(longest, stamps[i].Sub(stamps[i-1]))
		}
		seen[program].gaps = append(seen[program].gaps, longest)
	}
}
