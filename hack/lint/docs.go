// Command lint checks what golangci-lint does not read: that links between documents lead somewhere, that
// excerpts in documents are still what their files hold, that no file holds the name of a package mirror
// or a path that exists on one machine only, that words which only this project would understand do not
// come back, and that every library package has a doc.go. It refuses to change a file: each finding names
// what to write instead.
//
// Usage, at the top of the repository: go run ./hack/lint FILE…
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	findings := checkPackages(os.Args[1:])
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			// Deleted but not yet committed.
			continue
		}
		findings = append(findings, checkWords(file, string(text))...)
		findings = append(findings, checkDialect(file, string(text))...)
		if filepath.Ext(file) == ".md" {
			findings = append(findings, checkLinks(file, string(text))...)
			findings = append(findings, checkQuotes(file, string(text))...)
		}
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// forbidden are spellings that have no place in a public repository. They are put together here, so
// that this file does not hold them.
var forbidden = []struct{ what, pattern string }{
	{"a path of one machine", `(^|[\s"'=(])/` + `(work|root)/[a-zA-Z0-9_.]`},
	{"the home of one user", `(^|[\s"'=(])/` + `home/[a-z]+/`},
	{"a package mirror", `(?i)https?://[a-z0-9.-]*(artifactory|nexus|` + `mirror)[a-z0-9.-]*[/:]`},
	{"a package mirror", `(?i)\bGOPROXY=https?:`},
	{"a private address with a port", `https?://(10|192\.168|172\.(1[6-9]|2[0-9]|3[01]))\.[0-9.]+:[0-9]+`},
}

func checkWords(file, text string) []string {
	var found []string
	for _, f := range forbidden {
		pattern := regexp.MustCompile(f.pattern)
		for i, line := range strings.Split(text, "\n") {
			if pattern.MatchString(line) {
				found = append(found, fmt.Sprintf("%s:%d: %s: %s", file, i+1, f.what, strings.TrimSpace(line)))
			}
		}
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	notID   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// checkLinks looks up every link to a file of this repository, its heading included.
func checkLinks(file, text string) []string {
	var found []string
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		target := m[1]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		path, anchor, _ := strings.Cut(target, "#")
		if path = filepath.Join(filepath.Dir(file), path); strings.HasPrefix(target, "#") {
			path = file
		}
		there, err := os.ReadFile(path)
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			continue
		}
		if err != nil {
			found = append(found, fmt.Sprintf("%s: the link %s leads nowhere", file, target))
		} else if anchor != "" && !anchors(string(there))[anchor] {
			found = append(found, fmt.Sprintf("%s: the link %s: no such heading", file, target))
		}
	}
	return found
}

// anchors are the ids that GitHub gives to headings.
func anchors(text string) map[string]bool {
	ids := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		id := notID.ReplaceAllString(strings.ToLower(m[1]), "")
		ids[strings.ReplaceAll(id, " ", "-")] = true
	}
	return ids
}
