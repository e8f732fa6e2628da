// Package rewind takes back, on a member whose mysqld is down, the end of the
// binlog that was acknowledged to no client.
//
// With acknowledgements waited for before the commit, such transactions are
// only prepared in InnoDB. Crash recovery commits what it finds in the binlog
// and rolls the rest back; so a binlog cut at the first errant transaction
// gives the state in which it never happened, for the price of a recovery.
//
// Before anything is cut the tail is saved as a binlog of its own that can be
// read with mysqlbinlog.
//
// It refuses whatever does not fit that picture, and changes nothing then: a
// tail outside the last file or mixed with what is to stay, a binlog that was
// closed cleanly or is encrypted, transactions of another server, and
// transactions that InnoDB alone can not roll back. It does not judge whether
// the tail may go: that no mysqld was started since the unclean end, and that
// nobody got an OK, are the caller's to know.
package rewind
