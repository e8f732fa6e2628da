package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The stories of the documentation: blocks marked "sh run=NAME", which a test of test/e2e runs in their order.
const (
	StoryInstall  = "install"
	StoryTutorial = "tutorial"
)

// Block is a fenced block of a document.
type Block struct {
	File     string // relative to the repository
	Line     int    // of the fence
	Language string
	Story    string // of "run=", or empty
	Text     string
}

// fence is a fenced block: its indentation, its language, its attributes and its text.
var fence = regexp.MustCompile("(?ms)^( *)```(\\w*)([^\n]*)\n(.*?)^ *```$")

// Blocks are the fenced blocks of all documents of a repository, in the order of their files and lines. CHANGELOG.md is left out:
// it speaks of former versions.
func Blocks(root string) ([]Block, error) {
	var out []Block
	err := eachDocument(root, func(file, text string) {
		for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
			part := func(i int) string { return text[at[2*i]:at[2*i+1]] }
			story := ""
			for _, attribute := range strings.Fields(part(3)) {
				if name, found := strings.CutPrefix(attribute, "run="); found {
					story = name
				}
			}
			out = append(out, Block{
				File:     file,
				Line:     strings.Count(text[:at[0]], "\n") + 1,
				Language: part(2),
				Story:    story,
				Text:     outdented(part(4), part(1)),
			})
		}
	})
	return out, err
}

// Story is the text of the blocks of a story, in their order. A story that no document has is an error.
func Story(root, name string) ([]Block, error) {
	blocks, err := Blocks(root)
	if err != nil {
		return nil, err
	}
	var out []Block
	for _, b := range blocks {
		if b.Story == name {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no block of a document is marked run=%s", name)
	}
	return out, nil
}

// eachDocument calls found with each document's path, relative to the repository, and its text.
func eachDocument(root string, found func(file, text string)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != root
		if d.IsDir() && (hidden || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" || d.Name() == "CHANGELOG.md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err == nil {
			found(file, string(text))
		}
		return err
	})
}

func outdented(text, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(line, indent))
	}
	return b.String()
}
