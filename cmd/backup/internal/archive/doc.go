// Package archive has the format of a pair's archive of binary logs in an object store: segments
// with whole transactions that are written once, the chain that shows whether any is missing,
// where to cut it for a moment or a transaction, and which segments retention no longer needs.
// docs/backup.md describes the format.
//
// There is no index: the catalog is the listing of the store and the header of each segment.
//
// It refuses to talk to a mysqld: package archiver reads from one, and package source stands
// for one.
package archive
