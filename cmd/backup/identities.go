package main

import (
	"fmt"
	"os"

	"filippo.io/age"
)

// readIdentities reads a file as age-keygen writes it; none for an empty name.
func readIdentities(file string) ([]age.Identity, error) {
	if file == "" {
		return nil, nil
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	defer in.Close()
	identities, err := age.ParseIdentities(in)
	if err != nil {
		return nil, fmt.Errorf("--identity %s: %w", file, err)
	}
	return identities, nil
}
