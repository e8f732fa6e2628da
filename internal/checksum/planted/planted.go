package planted

import (
	"embed"
	"fmt"

	"github.com/dbpair/dbpair/internal/sim/planted"
)

//go:embed *.patch
var patches embed.FS

// All are the planted bugs in the order of their names; each says by which tests of which
// package it is found.
func All() ([]planted.Bug, error) {
	bugs, err := planted.Parse(patches)
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
