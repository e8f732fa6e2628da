package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

var (
	// quoted is a code block whose first line says from which file of this repository it is taken:
	//
	//	```text quote=internal/failover/testdata/transcripts/failover.txt
	quoted = regexp.MustCompile("(?ms)^```\\w* quote=(\\S+)\n(.*?)^```$")
	// quoteMark finds every mark, also one in a block that quoted does not know.
	quoteMark = regexp.MustCompile("(?m)^ *```.*quote=")
)

// checkQuotes compares each excerpt with its file: it has to be a run of whole lines there.
func checkQuotes(file, text string) []string {
	var found []string
	blocks := quoted.FindAllStringSubmatchIndex(text, -1)
	if marks := len(quoteMark.FindAllString(text, -1)); marks != len(blocks) {
		found = append(found, fmt.Sprintf("%s: %d excerpts are marked with quote= and %d can be read: write ```text quote=FILE, the lines, ```",
			file, marks, len(blocks)))
	}
	for _, at := range blocks {
		source := text[at[2]:at[3]]
		excerpt := text[at[4]:at[5]]
		line := strings.Count(text[:at[0]], "\n") + 1
		there, err := os.ReadFile(source)
		switch {
		case err != nil:
			found = append(found, fmt.Sprintf("%s:%d: the excerpt is from %s, which cannot be read", file, line, source))
		case strings.TrimSpace(excerpt) == "":
			found = append(found, fmt.Sprintf("%s:%d: the excerpt from %s is empty", file, line, source))
		case !strings.Contains("\n"+string(there), "\n"+excerpt):
			found = append(found, fmt.Sprintf("%s:%d: the excerpt is not in %s any more; first line that is not there: %q",
				file, line, source, firstMissing(string(there), excerpt)))
		}
	}
	return found
}

// firstMissing is the first line of the excerpt that the file does not have, or its first line when it has
// all of them in another order.
func firstMissing(text, excerpt string) string {
	lines := strings.Split(strings.TrimSuffix(excerpt, "\n"), "\n")
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			return line
		}
	}
	return lines[0]
}
