// Package conformance is the suite that every object store passes: all behave alike in
// everything that backups rely on. It is for tests only, and refuses to know which provider it
// tests.
package conformance
