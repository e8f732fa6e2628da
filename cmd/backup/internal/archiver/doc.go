// Package archiver reads the binary log of a pair's passive and appends it to an archive. It
// finds out by itself which member that is, and goes on by GTID on the other one when the roles
// change.
//
// A transaction is archived only if the passive has executed it, and had not been opened for
// writes when it was read: what a primary still waits for, and a rewind could take back, never
// gets there. A primary is read while it is alone: then its commits wait for nobody, and what it has
// executed is never taken back. It is read where its agent ends readers before commits wait again.
//
// It refuses to write to a server, and to keep more than one segment in memory.
package archiver
