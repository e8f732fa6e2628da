// Package conformance is the suite that every object store passes: memory, a directory and a
// real S3 server behave alike in everything that backups rely on. It is for tests only.
package conformance
