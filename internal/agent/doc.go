// Package agent is the first process of a member's container: it supervises mysqld,
// opens and closes it by what the authority says, replicates from the peer, and answers
// operator and peer.
//
// When to start, open, close, confirm and kill is decided by authority.Machine; this package
// carries that out. One loop owns the machine and never blocks; whatever can block runs
// beside it and reports back as an event. The path that kills mysqld at its deadline
// touches no volume, no SQL and no lock but that of what is known of mysqld (instance).
//
// A part with a state of its own (the published state, the data, a drain, the lease of a
// repair, the waiting of commits, the Jobs' locks) has its own lock and takes what it needs of
// mysqld and of other parts as values and small interfaces, so that it is tested without them.
//
// It refuses to start on a volume that another process uses or that belongs to someone
// else, to make data where there is some, and to open what it has not read back.
package agent
