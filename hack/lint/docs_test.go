package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckWords(t *testing.T) {
	bad := []string{"cd /" + "work/main", "path: \"/" + "root/.cache\"", "GOPROXY=" + "https://example.org", "see http://" + "10.1.2.3:8080/x"}
	for _, line := range bad {
		if len(checkWords("f", line)) == 0 {
			t.Errorf("accepted: %s", line)
		}
	}
	good := []string{"the /workspace folder", "a root/leaf", "https://proxy.example.org/", "10.0.0.0/8", "http://127.0.0.1:8080"}
	for _, line := range good {
		if found := checkWords("f", line); len(found) > 0 {
			t.Errorf("refused: %v", found)
		}
	}
}

func TestCheckLinks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("b.md", "# B\n\n## What `x` is, and why\n")
	text := "# A\n[b](b.md) [h](b.md#what-x-is-and-why) [self](#a) [web](https://example.org/x)\n```\n[code](none.md)\n```\n"
	if found := checkLinks(write("a.md", text), text); len(found) > 0 {
		t.Errorf("refused good links: %v", found)
	}
	text = "[1](none.md) [2](b.md#none) [3](#none)\n"
	if found := checkLinks(write("c.md", text), text); len(found) != 3 {
		t.Errorf("found %v, want three", found)
	}
}
