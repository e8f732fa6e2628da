package plugin

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
)

// typed runs a command line as it is pasted into a shell, types the confirmation when asked,
// and returns the operation that it made.
func typed(t *testing.T, line string) (*v1alpha1.DatabasePairOperation, error) {
	t.Helper()
	p := doubtful()
	if strings.Contains(line, " reseed ") {
		p = healthy() // what it asks for is no doubt, and takes a primary
	}
	p.Namespace = "ns"
	w := newWorld(t, p)
	w.execer.states = map[string]agentapi.State{"shop-1": comparedWith(uuid1 + ":7")}
	flags := genericclioptions.NewConfigFlags(true)
	s := &session{
		streams: genericiooptions.IOStreams{In: strings.NewReader("shop/12\n"), Out: &bytes.Buffer{}, ErrOut: &bytes.Buffer{}},
		connect: func() (cluster, error) {
			return cluster{client: w.client, execer: w.execer, namespace: *flags.Namespace}, nil
		},
	}
	root := s.command("test")
	flags.AddFlags(root.PersistentFlags())
	root.SetArgs(strings.Fields(strings.TrimPrefix(line, "kubectl dbpair ")))
	if err := root.ExecuteContext(t.Context()); err != nil {
		return nil, err
	}
	var ops v1alpha1.DatabasePairOperationList
	if err := w.client.List(t.Context(), &ops); err != nil || len(ops.Items) != 1 {
		return nil, err
	}
	return &ops.Items[0], nil
}

// Every command that a doubt of any rule renders makes an operation as it stands.
func TestTheCommandsOfEveryDoubtWork(t *testing.T) {
	text, err := os.ReadFile("../failover/testdata/remedies.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "kubectl dbpair ") {
			continue
		}
		found++
		op, err := typed(t, line)
		if err != nil || op == nil {
			t.Errorf("%s: made %v: %v", line, op, err)
			continue
		}
		if op.Namespace != "ns" || op.Spec.Confirm != "shop/12" || !strings.Contains(line, op.Spec.Target) {
			t.Errorf("%s makes %+v in namespace %s", line, op.Spec, op.Namespace)
		}
	}
	if found < len(failover.DoubtRules) {
		t.Errorf("%d commands for %d doubts", found, len(failover.DoubtRules))
	}
}

var ofVerb = regexp.MustCompile("`(kubectl dbpair (?:adopt|force-promote|failover|fence|release|confirm-dead) [^`]*)`")

// A runbook's command works once its placeholders are filled in, and is the one that the doubt
// names.
func TestTheCommandsOfTheRunbooksWork(t *testing.T) {
	fill := strings.NewReplacer("<pair>", "shop", "<member>", "shop-1", "<namespace>", "ns")
	for _, rule := range failover.DoubtRules {
		text, err := os.ReadFile(filepath.Join("../../docs/runbooks", string(rule)+".md"))
		if err != nil {
			t.Fatal(err)
		}
		lines := ofVerb.FindAllStringSubmatch(string(text), -1)
		if len(lines) == 0 {
			t.Errorf("the runbook of %s has no command", rule)
		}
		for _, m := range lines {
			if op, err := typed(t, fill.Replace(m[1])); err != nil || op == nil {
				t.Errorf("%s: %s: made %v: %v", rule, m[1], op, err)
			}
		}
	}
}
