package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/internal/plugin"
)

const root = "../.."

// elsewhere are the commands that this package cannot check, by the beginning of their line, with the reason or the test that runs them.
var elsewhere = map[string]string{
	"set -eu":                        "a line of the script that test/e2e restores a lost pair with",
	": ${NAMESPACE:=default}":        "a line of the script that test/e2e restores a lost pair with",
	"sudo install":                   "writes into the machine's own folders; the story puts bin/ first in PATH instead",
	"mysqldump --single-transaction": "needs a server of the reader's; dumps with and without --set-gtid-purged=OFF are loaded by test/e2e",
	"mydumper --database":            "needs a server of the reader's; internal/dump and the plugin read folders of its form",
	"mysqlbinlog --read-from-remote": "internal/agent reads a real server's binary logs with these flags",
	"mysqlbinlog --skip-gtids":       "internal/rewind takes a tail back from its quarantine with these flags",
	"mysql --host=shop.example.com":  "needs a name of the reader's; test/clients logs in with the same flags",
	"base64 -d":                      "after a pipe, with the kubectl before it",
	"gunzip":                         "after a pipe, with the kubectl before it",
	"grep -E were (denied|refused)":  "after a pipe, with the kubectl before it",
	"backup take":                    "cmd/backup parses the lines of docs/backup.md",
	"backup serve":                   "cmd/backup parses the lines of docs/backup.md",
	"backup archive":                 "cmd/backup parses the lines of docs/backup.md",
	"oc adm policy":                  "needs OpenShift, as the page says",
	"git tag":                        "publishes a release",
	"git push":                       "publishes a release",
	"cosign verify":                  "needs a published image",
	"docker buildx imagetools":       "needs a registry",
	"docker image rm":                "gives room back on the reader's machine",
	"docker build":                   "hack/images.sh builds with the same Dockerfile; this line needs a registry for its base image",
	"docker pull":                    "needs a registry; hack/pull.sh is the test cluster's way",
	"kind create":                    "hack/cluster.sh makes each test cluster of the same file",
	"kind load":                      "hack/cluster.sh loads the images of each test cluster",
	"gh attestation":                 "needs a published archive",
}

func commands(t *testing.T) []Command {
	t.Helper()
	all, err := Commands(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Fatalf("only %d commands were found in the documents", len(all))
	}
	return all
}

// TestEveryCommandIsChecked: a command is one of a program whose arguments a test knows, or listed with a reason. A reason that no
// command needs any more is an error too.
func TestEveryCommandIsChecked(t *testing.T) {
	used := map[string]bool{}
	for _, c := range commands(t) {
		var err error
		switch c.Args[0] {
		case "kubectl":
			continue // the plugin's are parsed, and the others are run, below
		case "make":
			err = isTarget(c.Args[1:])
		case "helm":
			err = isOfTheChart(c)
		default:
			err = isListed(c, used)
		}
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	for entry := range elsewhere {
		if !used[entry] {
			t.Errorf("no document has a command %q any more: take it out of the list", entry)
		}
	}
}

func isListed(c Command, used map[string]bool) error {
	line := strings.Join(c.Args, " ")
	listed := false
	for entry := range elsewhere {
		if strings.HasPrefix(line, entry) {
			used[entry] = true // of two entries that fit both are
			listed = true
		}
	}
	if listed {
		return nil
	}
	return fmt.Errorf("no test runs it: add a check, make it part of a story, or list it with a reason")
}

func isTarget(args []string) error {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	for _, target := range args {
		if strings.Contains(target, "=") {
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).Match(makefile) {
			return fmt.Errorf("make has no target %s", target)
		}
	}
	return nil
}

// isOfTheChart: the chart that helm is to install is there, and has the values that are set.
func isOfTheChart(c Command) error {
	if c.Inline {
		return nil // these name the verb alone
	}
	if len(c.Args) < 4 || (c.Args[1] != "install" && c.Args[1] != "upgrade") {
		return fmt.Errorf("want helm install or upgrade RELEASE CHART")
	}
	text, err := os.ReadFile(filepath.Join(root, c.Args[3], "values.yaml"))
	if err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return err
	}
	for i, arg := range c.Args {
		if i == 0 || c.Args[i-1] != "--set" {
			continue
		}
		key, _, _ := strings.Cut(arg, "=")
		key, _, _ = strings.Cut(key, "[")
		if err := hasValue(values, strings.Split(key, ".")); err != nil {
			return fmt.Errorf("--set %s: %w", arg, err)
		}
	}
	return nil
}

func hasValue(values map[string]any, path []string) error {
	value, found := values[path[0]]
	if !found {
		return fmt.Errorf("the chart has no value %s", path[0])
	}
	below, is := value.(map[string]any)
	if len(path) == 1 || !is {
		return nil
	}
	return hasValue(below, path[1:])
}

// TestTheCommandsOfThePluginAreTaken: verb, flags and the number of arguments are right. A line of text may name a verb without the
// pair.
func TestTheCommandsOfThePluginAreTaken(t *testing.T) {
	found := 0
	for _, c := range commands(t) {
		if !isPlugin(c.Args) {
			continue
		}
		found++
		if err := parses(c); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	if found < 120 {
		t.Errorf("only %d commands of the plugin were found", found)
	}
}

func isPlugin(args []string) bool {
	return len(args) > 2 && args[0] == "kubectl" && args[1] == "dbpair"
}

// parses takes a command up to where it would act.
func parses(c Command) error {
	program := plugin.New(genericiooptions.NewTestIOStreamsDiscard(), "test")
	if c.Args[2] == "--help" {
		return nil
	}
	command, args, err := program.Find(c.Args[2:])
	if err != nil {
		return err
	}
	if command == program {
		return fmt.Errorf("the plugin has no verb %s", c.Args[2])
	}
	if err := command.ParseFlags(args); err != nil {
		return err
	}
	if c.Inline && command.Flags().NArg() == 0 {
		return nil
	}
	if err := command.ValidateRequiredFlags(); err != nil {
		return err
	}
	if err := command.ValidateFlagGroups(); err != nil {
		return err
	}
	return command.ValidateArgs(command.Flags().Args())
}

// TestPlantedMistakesAreFound: the checks see what they are for.
func TestPlantedMistakesAreFound(t *testing.T) {
	for line, want := range map[string]string{
		"kubectl dbpair swichover shop":                  "unknown command",
		"kubectl dbpair switchover shop --dryrun":        "unknown flag",
		"kubectl dbpair switchover shop other":           "pair",
		"kubectl dbpair mysql shop --member a --passive": "none of the others",
		"kubectl dbpair switchover":                      "pair",
	} {
		found, err := commandsOf(line, Command{})
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", line, found, err)
		}
		if err := parses(found[0]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", line, err, want)
		}
	}
	if err := isTarget([]string{"test", "tset"}); err == nil {
		t.Error("make tset is taken")
	}
	upgrade := Command{Args: strings.Fields("helm upgrade dbpair charts/dbpair --set metrics.dashboard.enabled=true")}
	if err := isOfTheChart(upgrade); err == nil {
		t.Error("a value that the chart lacks is taken")
	}
	if err := isListed(Command{Args: []string{"curl", "x"}}, map[string]bool{}); err == nil {
		t.Error("a command that no test runs is taken")
	}
}

// TestEveryStoryIsRun: what a block is marked with is a story that test/e2e runs.
func TestEveryStoryIsRun(t *testing.T) {
	known := []string{StoryInstall, StoryTutorial}
	blocks, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Story != "" && !slices.Contains(known, b.Story) {
			t.Errorf("%s:%d: no test runs the story %s", b.File, b.Line, b.Story)
		}
	}
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, name := range []string{"docs.StoryInstall", "docs.StoryTutorial"} {
		if !strings.Contains(tests.String(), name) {
			t.Errorf("no test of test/e2e runs %s", name)
		}
	}
}
