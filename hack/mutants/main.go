// Command mutants plants each bug of a set in a copy of the code and fails when one is
// not found: those of internal/sim/mutants by the simulator, of which it prints how many
// seeds it took, those of internal/checksum/mutants by the tests that they name, of which it
// prints which fail. These need a mysqld.
//
// Usage: go run ./hack/mutants [-seeds N] sim|checksum [BUG…]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	checksum "github.com/dbpair/dbpair/internal/checksum/mutants"
	sim "github.com/dbpair/dbpair/internal/sim/mutants"
)

// checksumRuns is how often tests under writes are tried: what they find is a matter of moments.
const checksumRuns = "60"

var seeds = flag.Int("seeds", 20000, "how many seeds each bug of the simulator gets")

func main() {
	flag.Parse()
	if err := run(context.Background(), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	bugs, err := chosen(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The next bug compiles while the tests of this one run.
	ready := make(chan built, 1)
	go func() {
		defer close(ready)
		for _, b := range bugs {
			ready <- build(ctx, dir, b)
		}
	}()
	begin := time.Now()
	missed := 0
	fmt.Printf("%-30s %8s  %s\n", "bug", "seconds", "found by")
	for b := range ready {
		if b.err != nil {
			return b.err
		}
		began := time.Now()
		what, err := find(ctx, b)
		if err != nil {
			return err
		}
		if what == "" {
			missed++
			what = "NOT FOUND: " + b.bug.Breaks
		}
		fmt.Printf("%-30s %8.1f  %s\n", b.bug.Name, time.Since(began).Seconds(), what)
		_ = os.Remove(b.path)
	}
	fmt.Printf("%d bugs, %d not found, in %s\n", len(bugs), missed, time.Since(begin).Round(time.Second))
	if missed > 0 {
		return fmt.Errorf("%d of %d mutants were not found", missed, len(bugs))
	}
	return nil
}

// chosen are the bugs of a set, those that are named or all.
func chosen(args []string) ([]sim.Bug, error) {
	sets := map[string]func() ([]sim.Bug, error){"sim": sim.All, "checksum": checksum.All}
	if len(args) == 0 || sets[args[0]] == nil {
		return nil, fmt.Errorf("want sim or checksum, and then the names of bugs or none for all")
	}
	bugs, err := sets[args[0]]()
	if err != nil || len(args) == 1 {
		return bugs, err
	}
	var out []sim.Bug
	for _, name := range args[1:] {
		i := slices.IndexFunc(bugs, func(b sim.Bug) bool { return b.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no such bug: %s", name)
		}
		out = append(out, bugs[i])
	}
	return out, nil
}

// built is a test binary with a bug in it.
type built struct {
	bug  sim.Bug
	pkg  string
	path string
	err  error
}

func build(ctx context.Context, dir string, b sim.Bug) built {
	out := built{
		bug:  b,
		pkg:  "./internal/sim",
		path: filepath.Join(dir, b.Name+".test"),
	}
	if len(b.FoundBy) > 0 {
		out.pkg = b.FoundBy[0]
	}
	root, err := os.Getwd()
	if err != nil {
		out.err = err
		return out
	}
	tree := &sim.Tree{Root: root}
	if out.err = tree.Apply(b); out.err != nil {
		return out
	}
	files := filepath.Join(dir, b.Name)
	if out.err = os.Mkdir(files, 0o700); out.err != nil {
		return out
	}
	overlay, err := tree.WriteOverlay(files)
	if err != nil {
		out.err = err
		return out
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-overlay", overlay, "-o", out.path, out.pkg)
	if text, err := cmd.CombinedOutput(); err != nil {
		out.err = fmt.Errorf("bug %s does not compile: %w\n%s", b.Name, err, text)
	}
	return out
}

// find returns what finds the bug, empty for nothing.
func find(ctx context.Context, b built) (string, error) {
	if len(b.bug.FoundBy) == 0 {
		return hunt(ctx, b), nil
	}
	tests := b.bug.FoundBy[1]
	cmd := exec.CommandContext(ctx, b.path, "-test.v", "-test.timeout=3m", "-test.run="+tests)
	cmd.Dir = b.pkg
	cmd.Env = append(os.Environ(), "DBPAIR_REQUIRE_MYSQLD=1", "DBPAIR_CHECKSUM_RUNS="+checksumRuns)
	text, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		return failed(string(text)), nil
	case !strings.Contains(string(text), "--- PASS"):
		return "", fmt.Errorf("bug %s: no test of %s is called %s", b.bug.Name, b.pkg, tests)
	}
	return "", nil
}

// hunt runs seeds of the simulator until one finds the bug.
func hunt(ctx context.Context, b built) string {
	args := []string{"-test.run=^TestSeeds$", "-test.v", "-hunt", fmt.Sprintf("-seeds=%d", *seeds)}
	if b.bug.DeadEnd {
		args = append(args, "-stuck")
	}
	text, err := exec.CommandContext(ctx, b.path, args...).CombinedOutput()
	for line := range strings.Lines(string(text)) {
		if _, found, ok := strings.Cut(line, "HUNT found "); ok && err == nil {
			tried, what, _ := strings.Cut(strings.TrimSpace(found), " ")
			return tried + " seeds: " + what
		}
	}
	return ""
}

// failed are the tests that failed and no others below them.
func failed(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		name, found := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: ")
		if !found {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		out = slices.DeleteFunc(out, func(other string) bool { return strings.HasPrefix(name, other+"/") })
		if len(out) < 3 {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return "the tests did not end: " + strings.TrimSpace(text[max(0, len(text)-200):])
	}
	return strings.Join(out, ", ")
}
