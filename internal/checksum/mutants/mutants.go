package mutants

import (
	"embed"
	"fmt"

	"github.com/dbpair/dbpair/internal/sim/mutants"
)

//go:embed *.patch
var patches embed.FS

// All are the mutants in the order of their names; each says by which tests of which
// package it is found.
func All() ([]mutants.Bug, error) {
	bugs, err := mutants.Parse(patches)
	if err != nil {
		return nil, err
	}
	for _, b := range bugs {
		if len(b.FoundBy) != 2 {
			return nil, fmt.Errorf("%s: want a line Found by: <package> <tests>", b.Name)
		}
	}
	return bugs, nil
}
