// Package conformance is the one description of what the agent may rely on in
// a mysqld, as a suite that the real one and the fake both pass.
//
// It refuses to test SQL: what only a real server can show has tests of its
// own beside package mysqlops.
package conformance
