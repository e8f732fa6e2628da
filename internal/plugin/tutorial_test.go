package plugin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// shellBlock is a block of commands in a document.
var shellBlock = regexp.MustCompile("(?ms)^```sh(?: run=\\w+)?\n(.*?)^```$")

// documentedCommands are the command lines in the shell blocks of a document, without comments and prompts.
func documentedCommands(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		}
	}
	return out
}

// parses runs a command line of the plugin up to where it would act: its flags and arguments have to be right.
func parses(line string) error {
	root := New(genericiooptions.NewTestIOStreamsDiscard(), "test")
	line, _, _ = strings.Cut(line, " <")
	cmd, args, err := root.Find(strings.Fields(strings.TrimPrefix(line, "kubectl dbpair ")))
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// Every command of the plugin that the README, the tutorial and the page about operations tell to type is taken with its
// arguments and flags.
func TestTheCommandsToTypeAreTaken(t *testing.T) {
	for path, least := range map[string]int{
		"../../README.md":          2,
		"../../docs/tutorial.md":   5,
		"../../docs/operations.md": 15,
	} {
		found := 0
		for _, line := range documentedCommands(t, path) {
			if !strings.HasPrefix(line, "kubectl dbpair ") || strings.Contains(line, "|") {
				continue
			}
			found++
			if err := parses(line); err != nil {
				t.Errorf("%s: %s: %v", path, line, err)
			}
		}
		if found < least {
			t.Errorf("%s: %d commands were found, want at least %d", path, found, least)
		}
	}
}

// Every file that a command names is there.
func TestTheFilesToApplyAreThere(t *testing.T) {
	file := regexp.MustCompile(`(?:-f |-k |helm (?:install|upgrade) \S+ )(\S+)`)
	for _, path := range []string{"../../README.md", "../../docs/tutorial.md", "../../docs/install.md"} {
		found := 0
		for _, line := range documentedCommands(t, path) {
			for _, m := range file.FindAllStringSubmatch(line, -1) {
				found++
				if _, err := os.Stat("../../" + m[1]); err != nil {
					t.Errorf("%s: %s: %v", path, line, err)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no command names a file", path)
		}
	}
}
