// Command sim-bugs plants each bug of internal/sim/planted in a copy of the code, runs the
// simulator over it, and prints how many seeds it took to find. It fails when one is not
// found.
//
// Usage: go run ./hack/sim-bugs [-seeds N] [BUG…]
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

	"github.com/dbpair/dbpair/internal/sim/planted"
)

func main() {
	seeds := flag.Int("seeds", 8000, "how many seeds each bug gets")
	flag.Parse()
	if err := run(context.Background(), *seeds, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// built is a simulator with a bug in it.
type built struct {
	bug  planted.Bug
	path string
	took time.Duration
	err  error
}

func run(ctx context.Context, seeds int, only []string) error {
	bugs, err := planted.All()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sim-bugs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if len(only) > 0 {
		bugs = slices.DeleteFunc(bugs, func(b planted.Bug) bool { return !slices.Contains(only, b.Name) })
	}
	if len(bugs) == 0 {
		return fmt.Errorf("no such bug: %s", strings.Join(only, " "))
	}
	// The next bug compiles while the seeds of this one run.
	ready := make(chan built, 1)
	go func() {
		defer close(ready)
		for _, b := range bugs {
			ready <- build(ctx, dir, b)
		}
	}()
	begin, missed := time.Now(), 0
	fmt.Printf("%-22s %6s %8s  %s\n", "bug", "seeds", "seconds", "what the simulator says")
	for b := range ready {
		if b.err != nil {
			return b.err
		}
		if !hunt(ctx, b, seeds) {
			missed++
		}
		_ = os.Remove(b.path)
	}
	fmt.Printf("%d bugs, %d not found, in %s\n", len(bugs), missed, time.Since(begin).Round(time.Second))
	if missed > 0 {
		return fmt.Errorf("%d planted bugs were not found", missed)
	}
	return nil
}

func build(ctx context.Context, dir string, b planted.Bug) built {
	out := built{bug: b, path: filepath.Join(dir, b.Name+".test")}
	begin := time.Now()
	root, err := os.Getwd()
	if err != nil {
		out.err = err
		return out
	}
	tree := &planted.Tree{Root: root}
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
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-overlay", overlay, "-o", out.path, "./internal/sim")
	if text, err := cmd.CombinedOutput(); err != nil {
		out.err = fmt.Errorf("bug %s does not compile: %w\n%s", b.Name, err, text)
	}
	out.took = time.Since(begin)
	return out
}

// hunt runs seeds until one finds the bug, and prints its line of the table.
func hunt(ctx context.Context, b built, seeds int) bool {
	args := []string{"-test.run=^TestSeeds$", "-test.v", "-hunt", fmt.Sprintf("-seeds=%d", seeds)}
	if b.bug.DeadEnd {
		args = append(args, "-stuck")
	}
	begin := time.Now()
	text, err := exec.CommandContext(ctx, b.path, args...).CombinedOutput()
	took := time.Since(begin).Seconds()
	for line := range strings.Lines(string(text)) {
		if _, found, ok := strings.Cut(line, "HUNT found "); ok && err == nil {
			tried, what, _ := strings.Cut(strings.TrimSpace(found), " ")
			fmt.Printf("%-22s %6s %8.1f  %s\n", b.bug.Name, tried, took, what)
			return true
		}
	}
	fmt.Printf("%-22s %6s %8.1f  NOT FOUND: %s (%v)\n", b.bug.Name, "-", took, b.bug.Breaks, err)
	return false
}
