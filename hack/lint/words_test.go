package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWordsThatOnlyThisProjectUnderstands(t *testing.T) {
	text := "The holder is confirmed.\nfunc (m *Machine) takeWord() {}\nIts behaviour is known.\n"
	found := checkDialect("internal/x.go", text)
	if len(found) != 2 ||
		!strings.HasPrefix(found[0], `internal/x.go:2: "takeWord": say`) ||
		!strings.HasPrefix(found[1], `internal/x.go:3: "behaviour": say`) {
		t.Errorf("found %q", found)
	}
	if found := checkDialect("hack/lint/words.go", text); len(found) != 0 {
		t.Errorf("the list itself is refused: %q", found)
	}
}

func TestAPackageWithoutDocGoIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	files := []string{"library/a.go", "program/main.go", "documented/a.go", "documented/doc.go", "onlytests/a_test.go"}
	for _, file := range files {
		name := filepath.Dir(file)
		if name == "program" {
			name = "main"
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("package "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := checkPackages(files)
	if len(found) != 1 || !strings.HasPrefix(found[0], "library: write doc.go") {
		t.Errorf("found %q", found)
	}
}
