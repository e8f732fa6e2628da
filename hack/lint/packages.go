package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)

// checkPackages names each library package of these files that has no doc.go. A program says in main.go
// what it is for.
func checkPackages(files []string) []string {
	dirs := map[string]bool{}
	for _, file := range files {
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			// Deleted but not yet committed.
			continue
		}
		clause := packageClause.FindSubmatch(text)
		if clause != nil && string(clause[1]) != "main" {
			dirs[filepath.Dir(file)] = true
		}
	}
	var found []string
	for dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "doc.go")); err != nil {
			found = append(found, fmt.Sprintf("%s: write doc.go: what the package is for and what it refuses, in a paragraph", dir))
		}
	}
	slices.Sort(found)
	return found
}
