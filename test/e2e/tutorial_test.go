//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/test/docs"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// ownFolders are the lines of the story that write into folders of the machine; the terminal's PATH stands for them.
var ownFolders = regexp.MustCompile(`(?m)^sudo install .*$`)

// TestTutorial types docs/tutorial.md from its first command to its last, into a cluster without an operator. It does not run beside
// others, since it takes the operator away.
func TestTutorial(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "tutorial")
	terminal, err := cluster.Terminal(t.TempDir(), s.namespace)
	s.must(err)
	s.reinstallAfter()
	s.must(cluster.Uninstall(s.ctx))
	for _, b := range s.story(docs.StoryInstall) {
		s.types(terminal, terminal.Repository, b, ownFolders.ReplaceAllString(b.Text, ""))
	}
	blocks := s.story(docs.StoryTutorial)
	end := len(blocks) - 1 // the last one removes what the others made
	printed := ""
	for _, b := range blocks[:end] {
		printed += s.types(terminal, terminal.Folder, b, b.Text)
	}
	for _, want := range []string{"condition met", "accepted by shop-0", "shop-failover-2", "Succeeded"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the tutorial does not show %q:\n%s", want, printed)
		}
	}
	page, err := os.ReadFile(filepath.Join(terminal.Folder, "shop-failover-2.html"))
	s.must(err)
	if !strings.Contains(string(page), "</html>") {
		t.Errorf("the page of the failover is no page: %d bytes", len(page))
	}
	s.keptWhatItPrinted(cluster.Pair(s.namespace, "shop"))
	s.types(terminal, terminal.Folder, blocks[end], blocks[end].Text)
}

func (s *scene) story(name string) []docs.Block {
	s.Helper()
	blocks, err := docs.Story("../..", name)
	s.must(err)
	return blocks
}

// types runs a block of a document in the terminal, and returns what it prints.
func (s *scene) types(terminal *harness.Terminal, folder string, b docs.Block, script string) string {
	s.Helper()
	out, err := terminal.Type(s.ctx, folder, script)
	if err != nil {
		s.Fatalf("%s:%d: %v", b.File, b.Line, err)
	}
	s.Logf("%s:%d:\n%s", b.File, b.Line, out)
	return out + "\n"
}

// keptWhatItPrinted: each row whose number the tutorial's client printed is in the table, and both members took some.
func (s *scene) keptWhatItPrinted(p *harness.Pair) {
	s.Helper()
	log, err := cluster.Shell(s.ctx, "kubectl logs writer -n "+s.namespace)
	s.must(err)
	there := map[string]bool{}
	for id := range strings.Lines(s.sql(p, s.primary(p), "SELECT id FROM app.orders")) {
		there[strings.TrimSpace(id)] = true
	}
	taken := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\S+ (\d+)\t(shop-[01])$`).FindAllStringSubmatch(log, -1) {
		taken[row[2]]++
		if !there[row[1]] {
			s.Errorf("row %s, which %s acknowledged, is lost", row[1], row[2])
		}
	}
	if taken["shop-0"] == 0 || taken["shop-1"] == 0 {
		s.Errorf("rows by member: %v, want some of each", taken)
	}
}
