// Package fake models mysqlds in memory, as far as the agent can tell: the
// read-only family, the binlog with commits that wait, the relay log,
// semi-sync with acknowledgements that get lost, crashes, clones.
//
// A Mysqld has the methods of mysqlops.Server, and both pass the suite of
// package conformance. Everything happens at once and in the caller's
// goroutine: a commit is at the peer when Commit returns.
//
// It refuses to be a database: transactions have an identity and no content.
package fake
