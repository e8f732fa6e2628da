//go:build !failpoints

package app

// failpoint is nothing in what users get.
func failpoint() func(string) error { return nil }
