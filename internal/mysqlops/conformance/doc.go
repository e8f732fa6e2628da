// Package conformance is the one description of what the protocol relies on in a mysqld, as a
// suite that the real one and the simulator's model both pass: what a commit, an acknowledgement,
// a fence, a crash and a copy do to what a member has.
//
// It refuses to test SQL: what only a real server can show has tests of its own beside package
// mysqlops.
package conformance
