// Package agent is the first process of a member's container: it supervises mysqld,
// opens and closes it by what the authority says, replicates from the peer, and answers
// operator and peer.
//
// When to start, open, close, confirm and kill is decided by authority.Machine; this package
// carries that out. One loop owns the machine and never blocks; whatever can block runs
// beside it and reports back as an event. The path that kills mysqld at its deadline
// touches no volume, no SQL and no lock but the child's own.
//
// It refuses to start on a volume that another process uses or that belongs to someone
// else, to make data where there is some, and to open what it has not read back.
package agent
