// Command checksum-bugs plants each bug of internal/checksum/planted in a copy of the code,
// runs the tests that have to find it, and fails when they pass. It needs a mysqld, as
// these tests do.
//
// Usage: go run ./hack/checksum-bugs [BUG…]
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/checksum/planted"
	sim "github.com/dbpair/dbpair/internal/sim/planted"
)

// runs is how often tests under writes are tried: what they find is a matter of moments.
const runs = "60"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string) error {
	bugs, err := planted.All()
	if err != nil {
		return err
	}
	if len(only) > 0 {
		bugs = slices.DeleteFunc(bugs, func(b sim.Bug) bool { return !slices.Contains(only, b.Name) })
	}
	if len(bugs) == 0 {
		return fmt.Errorf("no such bug: %s", strings.Join(only, " "))
	}
	missed := 0
	fmt.Printf("%-24s %8s  %s\n", "bug", "seconds", "what fails")
	for _, b := range bugs {
		began := time.Now()
		what, err := find(ctx, b)
		if err != nil {
			return err
		}
		if what == "" {
			missed++
			what = "NOT FOUND by " + strings.Join(b.FoundBy, " ") + ": " + b.Breaks
		}
		fmt.Printf("%-24s %8.1f  %s\n", b.Name, time.Since(began).Seconds(), what)
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d planted bugs were not found", missed, len(bugs))
	}
	fmt.Printf("%d bugs, all found\n", len(bugs))
	return nil
}

// find returns the tests that failed, empty for none.
func find(ctx context.Context, b sim.Bug) (string, error) {
	dir, err := os.MkdirTemp("", "checksum-bugs")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	tree := &sim.Tree{Root: root}
	if err := tree.Apply(b); err != nil {
		return "", err
	}
	overlay, err := tree.WriteOverlay(dir)
	if err != nil {
		return "", err
	}
	pkg, tests := b.FoundBy[0], b.FoundBy[1]
	binary := filepath.Join(dir, "test")
	if text, err := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-o", binary, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("bug %s does not compile: %w\n%s", b.Name, err, text)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout=3m", "-test.run="+tests)
	cmd.Dir = filepath.Join(root, pkg)
	cmd.Env = append(os.Environ(), "DBPAIR_REQUIRE_MYSQLD=1", "DBPAIR_CHECKSUM_RUNS="+runs)
	text, err := cmd.CombinedOutput()
	if err == nil {
		if !strings.Contains(string(text), "--- PASS") {
			return "", fmt.Errorf("bug %s: no test of %s is called %s", b.Name, pkg, tests)
		}
		return "", nil
	}
	return failed(string(text)), nil
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
