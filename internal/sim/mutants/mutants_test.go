package mutants

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEveryBugStillAppliesAndCompiles: bugs that do not touch the same lines are compiled
// together.
func TestEveryBugStillAppliesAndCompiles(t *testing.T) {
	bugs, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(bugs) < 20 {
		t.Fatalf("%d bugs, at least 20 are promised", len(bugs))
	}
	var trees []*Tree
	var names [][]string
next:
	for _, b := range bugs {
		if err := (&Tree{Root: root(t)}).Apply(b); err != nil {
			t.Error(err)
			continue
		}
		for i, tree := range trees {
			if tree.Apply(b) == nil {
				names[i] = append(names[i], b.Name)
				continue next
			}
		}
		tree := &Tree{Root: root(t)}
		if err := tree.Apply(b); err != nil {
			t.Fatal(err)
		}
		trees, names = append(trees, tree), append(names, []string{b.Name})
	}
	for i, tree := range trees {
		overlay, err := tree.WriteOverlay(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./internal/execute", "./internal/agent/judge", "./internal/agent/door", "./internal/cluster")
		build.Dir = root(t)
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("bugs %v do not compile: %v\n%s", names[i], err, out)
		}
	}
}

// TestBugsArePatchesOfProductionCode: beside production code a bug may change how the
// simulator feeds a machine what the bug reads, and never what the simulator checks.
func TestBugsArePatchesOfProductionCode(t *testing.T) {
	bugs, err := All()
	if err != nil {
		t.Fatal(err)
	}
	feeds := []string{"internal/sim/mode_test.go"}
	for _, b := range bugs {
		production := 0
		for _, c := range b.files {
			switch {
			case !strings.HasSuffix(c.path, "_test.go"):
				production++
			case !slices.Contains(feeds, c.path):
				t.Errorf("%s patches %s, which is not production code", b.Name, c.path)
			}
		}
		if production == 0 {
			t.Errorf("%s patches no production code", b.Name)
		}
	}
}

func TestAPatchThatDoesNotFitIsRefused(t *testing.T) {
	const head = "Breaks: a rule\n--- a/go.mod\n+++ b/go.mod\n"
	cases := map[string]string{
		"no head":                        "--- a/go.mod\n+++ b/go.mod\n@@ -1,1 +1,1 @@\n-module x\n+module y\n",
		"no change":                      "Breaks: a rule\n",
		"a line outside a hunk":          head + "module x\n",
		"lines that the file has not":    head + "@@ -1,1 +1,1 @@\n-no such line\n+another\n",
		"a file that is not there":       "Breaks: a rule\n--- a/none.go\n+++ b/none.go\n@@ -1,1 +1,1 @@\n-a\n+b\n",
		"a line that is part of no hunk": head + "@@ -1,1 +1,1 @@\n?module\n",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			b, err := parse("x", []byte(text))
			if err == nil {
				err = (&Tree{Root: root(t)}).Apply(b)
			}
			if err == nil {
				t.Error("was taken")
			}
		})
	}
}
