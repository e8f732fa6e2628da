package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

var written = regexp.MustCompile("kubectl dbpair ([a-z][a-z-]*)([^`|#\n&]*)")

// TestTheCommandsInTheDocsExist: every command that a page tells to type is one, and has the
// flags that it is given.
func TestTheCommandsInTheDocsExist(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range written.FindAllStringSubmatch(string(text), -1) {
			found++
			root := New(genericiooptions.NewTestIOStreamsDiscard(), "test")
			cmd, _, err := root.Find([]string{m[1]})
			if err != nil || cmd == root {
				t.Errorf("%s: kubectl dbpair %s: %v", path, m[1], err)
				continue
			}
			for _, word := range strings.Fields(m[2]) {
				if word == "--" { // the rest is for another program
					break
				}
				name, isFlag := strings.CutPrefix(strings.Trim(word, "[].,;:()\""), "--")
				if name, _, _ = strings.Cut(name, "="); !isFlag || name == "" {
					continue
				}
				if cmd.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
					t.Errorf("%s: kubectl dbpair %s has no flag --%s", path, m[1], name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 20 {
		t.Errorf("only %d commands were found in the docs", found)
	}
}
