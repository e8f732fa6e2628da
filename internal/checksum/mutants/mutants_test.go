package mutants

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dbpair/dbpair/internal/sim/mutants"
)

// TestEveryBugStillAppliesAndCompiles: bugs that do not touch the same lines are compiled
// together.
func TestEveryBugStillAppliesAndCompiles(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	bugs, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(bugs) < 20 {
		t.Fatalf("%d bugs, at least 20 are promised", len(bugs))
	}
	var trees []*mutants.Tree
next:
	for _, b := range bugs {
		for _, tree := range trees {
			if tree.Apply(b) == nil {
				continue next
			}
		}
		tree := &mutants.Tree{Root: root}
		if err := tree.Apply(b); err != nil {
			t.Error(err)
			continue
		}
		trees = append(trees, tree)
	}
	for _, tree := range trees {
		overlay, err := tree.WriteOverlay(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./internal/checksum", "./internal/job")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("does not compile: %v\n%s", err, out)
		}
	}
}
