package main

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/test/docs"
)

// TestTheCommandsOfTheDocsAreTaken: verb, flags and the number of arguments of every line in the documents that calls this program
// are right.
func TestTheCommandsOfTheDocsAreTaken(t *testing.T) {
	commands, err := docs.Commands("../..")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range commands {
		if c.Args[0] != "backup" {
			continue
		}
		found++
		program := newCommand()
		command, args, err := program.Find(c.Args[1:])
		if err == nil && command == program {
			t.Errorf("%s: there is no such verb", c)
			continue
		}
		if err == nil {
			err = command.ParseFlags(args)
		}
		if err == nil {
			err = command.ValidateRequiredFlags()
		}
		if err == nil {
			err = command.ValidateArgs(command.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	if found < 5 {
		t.Errorf("only %d commands of this program were found", found)
	}
	wrong := strings.Fields("backup take --stor x")
	command, args, err := newCommand().Find(wrong[1:])
	if err != nil {
		t.Fatal(err)
	}
	if command.ParseFlags(args) == nil {
		t.Errorf("%q is taken", wrong)
	}
}
