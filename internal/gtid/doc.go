// Package gtid is the arithmetic of global transaction identifiers: which
// transactions a member has, which it lacks, which of its own are errant.
//
// It knows the notation of MySQL 8.4 and newer, tags included, and does its
// work on values: a Set never changes, the zero Set is the empty set, and no
// function here reads a clock, a file or a server.
//
// It refuses to guess: text that is not a set is an error, never an empty set,
// because an empty set taken for a real one makes every other set look errant.
package gtid
