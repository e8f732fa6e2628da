package main

import (
	"strings"

	"github.com/dbpair/dbpair/internal/store"
)

// destinationOf is the field below destination that the URL of a store was made from.
func destinationOf(location string) string {
	scheme, _, _ := strings.Cut(location, ":")
	switch scheme {
	case "gs":
		return "gcs"
	case "azblob":
		return "azure"
	case "file":
		return "volume"
	default:
		return "s3"
	}
}

// advice is an error with what to do about it. field is the one that has the destination, and
// location the URL that was made from it.
func advice(err error, field, location string) string {
	kind := destinationOf(location)
	at := field + ".destination." + kind
	way := ""
	switch store.ClassOf(err) {
	case store.Denied:
		way = "check the Secret of " + at + ".credentials and its rights to list the bucket and to read, create and delete objects"
		if kind == "volume" {
			way = "let the group 65532 read and write " + at
		}
	case store.NoBucket:
		way = "make the bucket, or correct " + at
	case store.Skewed:
		way = "set the clock of the node"
	case store.Untrusted:
		way = "name the certificates of the store's authority in " + field + ".destination.s3.caBundle, or correct the endpoint"
	case store.Full:
		way = "make room in " + at + ", or have " + field + ".retention keep less"
	case store.Unreachable:
		way = "check " + at + ", and that the store answers"
		if kind == "s3" {
			way = "check " + at + ".endpoint, and that the store answers"
		}
	case store.Exists, store.NotFound, store.Unknown:
	}
	if way == "" {
		return err.Error()
	}
	return err.Error() + ": " + way
}
