// Package mysqlops is the only place of the project where SQL is written. The
// agent uses it to look at the mysqld it supervises, to close and open it, and
// to set up replication, accounts and clones.
//
// Every method takes a context and besides has a deadline of its own, so that
// no mysqld, however stuck, stops its caller for longer than Timeouts says. An
// error names the operation, and is one of the sentinels of errors.go where
// the caller can do something about it. No error and no log line holds a
// secret.
//
// It refuses to decide anything: who may be primary, whether a member may open
// and what a fence is worth are judged elsewhere. It never sends SHUTDOWN, and
// it does not switch the waiting for acknowledgements off while commits wait
// unless it is given the ledger version that allows it: both make mysqld say
// OK to clients whose write exists nowhere else.
package mysqlops
