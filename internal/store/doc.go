// Package store has the terms of an object store that holds backups: what is known of an
// object, which keys are allowed, how large an object may be, and the classes of errors that
// decide what a person or a program has to do next.
//
// Package blobstore implements a store over S3, GCS, Azure, a directory and memory; package
// conformance is the suite that each of them passes.
//
// It refuses to import the SDK of any provider, so that the operator can use these terms.
package store
