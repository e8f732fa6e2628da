package exporter

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake is a program that notes its password and what it was called with, and then does as told.
func fake(t *testing.T, then string) (Options, func() string) {
	t.Helper()
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes")
	program := filepath.Join(dir, "exporter")
	script := "#!/bin/sh\necho \"$MYSQLD_EXPORTER_PASSWORD $*\" >>" + notes + "\n" + then + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Program:      program,
		Args:         []string{"--flag"},
		PasswordFile: filepath.Join(dir, "monitor"),
		Poll:         10 * time.Millisecond,
		Pause:        time.Millisecond,
		Out:          io.Discard,
	}
	setPassword(t, o, "first")
	return o, func() string {
		text, _ := os.ReadFile(notes)
		return string(text)
	}
}

func setPassword(t *testing.T, o Options, password string) {
	t.Helper()
	if err := os.WriteFile(o.PasswordFile+".new", []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(o.PasswordFile+".new", o.PasswordFile); err != nil {
		t.Fatal(err)
	}
}

// run starts Run; the test ends when it has ended.
func run(t *testing.T, o Options) context.CancelFunc {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return stop
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestAChangedPasswordStartsTheExporterAgain(t *testing.T) {
	o, notes := fake(t, "exec sleep 1000")
	run(t, o)
	await(t, "the first password", func() bool { return strings.HasPrefix(notes(), "first --flag\n") })
	setPassword(t, o, "second")
	await(t, "the second password", func() bool { return notes() == "first --flag\nsecond --flag\n" })
}

func TestAnExporterThatEndsIsStartedAgain(t *testing.T) {
	o, notes := fake(t, "exit 1")
	run(t, o)
	await(t, "a third start", func() bool { return strings.Count(notes(), "first --flag\n") >= 3 })
}

func TestAProgramThatIsMissingIsTriedAgain(t *testing.T) {
	o, notes := fake(t, "exec sleep 1000")
	if err := os.Rename(o.Program, o.Program+".away"); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	if err := os.Rename(o.Program+".away", o.Program); err != nil {
		t.Fatal(err)
	}
	await(t, "a start", func() bool { return notes() == "first --flag\n" })
}

func TestAMissingPasswordIsAnError(t *testing.T) {
	o, _ := fake(t, "exit 0")
	if err := os.Remove(o.PasswordFile); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err == nil {
		t.Error("it runs without a password")
	}
}
