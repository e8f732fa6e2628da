// Package resources builds the objects that a pair consists of: pure functions from a
// pair (and what the caller looked up for it) to apply configurations and to nothing
// else. The expected results stand as YAML in testdata.
//
// It never reads the cluster, never reads a clock and makes no secrets: keys and
// passwords are parameters. What it builds for a pair does not depend on the operator's
// version, but for the agent's image, so that an upgrade of the operator does not make
// pods look outdated.
package resources
