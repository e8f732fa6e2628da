package main

import (
	"os"
	"path/filepath"
	"strings"
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

func TestCheckQuotes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("golden.txt", []byte("one\ntwo\n    three\nfour\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	block := func(lines string) string { return "# A\n\n```text quote=golden.txt\n" + lines + "```\n" }
	for name, lines := range map[string]string{
		"from the first line": "one\ntwo\n",
		"from the middle":     "two\n    three\n",
		"to the last line":    "four\n",
	} {
		if found := checkQuotes("a.md", block(lines)); len(found) > 0 {
			t.Errorf("%s: refused: %v", name, found)
		}
	}
	for name, text := range map[string]string{
		"a line that changed":   block("one\ntwo!\n"),
		"a line that was cut":   block("    three\nfou\n"),
		"the end of a line":     block("three\n"),
		"lines in other order":  block("two\none\n"),
		"lines left out":        block("one\nfour\n"),
		"nothing":               block(""),
		"a file that is gone":   strings.Replace(block("one\n"), "golden", "gone", 1),
		"a block not closed":    "```text quote=golden.txt\none\n",
		"a block that is moved": "  ```text quote=golden.txt\n  one\n  ```\n",
	} {
		if found := checkQuotes("a.md", text); len(found) != 1 {
			t.Errorf("%s: found %v, want one", name, found)
		}
	}
}
