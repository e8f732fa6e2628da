package mutants

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.patch
var patches embed.FS

// Bug is one mutant.
type Bug struct {
	// Name is that of its file.
	Name string
	// Breaks is the rule that it takes away: the patch's first line.
	Breaks string
	// FoundBy is, where not the simulator has to find it, a package and the pattern of the
	// tests there that must fail with it.
	FoundBy []string
	// DeadEnd: the bug breaks no safety, it leaves the pair stuck; that counts as found.
	DeadEnd bool
	files   []change
}

// change is what a patch does to one file.
type change struct {
	path  string
	hunks []hunk
}

// hunk replaces the lines old, near line at, by new.
type hunk struct {
	at       int
	old, new []string
}

// All are the mutants in the order of their names.
func All() ([]Bug, error) { return Parse(patches) }

// Parse reads the patches of a folder in the order of their names.
func Parse(files fs.FS) ([]Bug, error) {
	names, err := fs.Glob(files, "*.patch")
	if err != nil {
		return nil, err
	}
	var bugs []Bug
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		b, err := parse(strings.TrimSuffix(name, ".patch"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		bugs = append(bugs, b)
	}
	return bugs, nil
}

// parse reads a unified diff with a head of "Breaks: …" and, for a dead end, "Found as: stuck",
// or "Found by: <package> <tests>".
func parse(name string, text []byte) (Bug, error) {
	b := Bug{Name: name}
	in := bufio.NewScanner(bytes.NewReader(text))
	for in.Scan() {
		line := in.Text()
		switch last := len(b.files) - 1; {
		case strings.HasPrefix(line, "Breaks: "):
			b.Breaks = strings.TrimPrefix(line, "Breaks: ")
		case strings.HasPrefix(line, "Found by: "):
			b.FoundBy = strings.Fields(strings.TrimPrefix(line, "Found by: "))
		case line == "Found as: stuck":
			b.DeadEnd = true
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ b/"):
			b.files = append(b.files, change{path: strings.TrimPrefix(line, "+++ b/")})
		case last < 0:
			if line != "" {
				return b, fmt.Errorf("line %q before the first file", line)
			}
		default:
			if err := b.files[last].add(line); err != nil {
				return b, err
			}
		}
	}
	if b.Breaks == "" || len(b.files) == 0 {
		return b, fmt.Errorf("no line Breaks, or no change")
	}
	return b, in.Err()
}

func (c *change) add(line string) error {
	if strings.HasPrefix(line, "@@ -") {
		start, _, _ := strings.Cut(strings.TrimPrefix(line, "@@ -"), ",")
		at, err := strconv.Atoi(start)
		c.hunks = append(c.hunks, hunk{at: at - 1})
		return err
	}
	if len(c.hunks) == 0 {
		return fmt.Errorf("line %q before the first hunk", line)
	}
	h := &c.hunks[len(c.hunks)-1]
	if line == "" {
		line = " "
	}
	switch text := line[1:]; line[0] {
	case ' ':
		h.old, h.new = append(h.old, text), append(h.new, text)
	case '-':
		h.old = append(h.old, text)
	case '+':
		h.new = append(h.new, text)
	default:
		return fmt.Errorf("line %q is no part of a hunk", line)
	}
	return nil
}

// Tree holds changed files by their path in the module at Root.
type Tree struct {
	Root  string
	Files map[string][]byte
}

// Apply adds the bug to the tree. On an error the tree is as it was.
func (t *Tree) Apply(b Bug) error {
	done := map[string][]byte{}
	for _, c := range b.files {
		text, ok := t.Files[c.path]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(t.Root, c.path)); err != nil {
				return fmt.Errorf("bug %s: %w", b.Name, err)
			}
		}
		lines := strings.Split(string(text), "\n")
		for _, h := range c.hunks {
			i := h.place(lines)
			if i < 0 {
				return fmt.Errorf("bug %s: %s has no lines\n%s", b.Name, c.path, strings.Join(h.old, "\n"))
			}
			lines = slices.Concat(lines[:i:i], h.new, lines[i+len(h.old):])
		}
		done[c.path] = []byte(strings.Join(lines, "\n"))
	}
	if t.Files == nil {
		t.Files = map[string][]byte{}
	}
	for path, text := range done {
		t.Files[path] = text
	}
	return nil
}

// place is where the hunk's old lines are, nearest to where the patch says; -1 for nowhere.
func (h hunk) place(lines []string) int {
	best := -1
	for i := range lines {
		if i+len(h.old) > len(lines) || !slices.Equal(lines[i:i+len(h.old)], h.old) {
			continue
		}
		if best < 0 || abs(i-h.at) < abs(best-h.at) {
			best = i
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// WriteOverlay writes the changed files into dir and returns the file that the go command's
// flag -overlay takes.
func (t *Tree) WriteOverlay(dir string) (string, error) {
	replace := map[string]string{}
	for path, text := range t.Files {
		copied := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(t.Root, path)] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}
