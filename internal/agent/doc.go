// Package agent is the first process of a member's container: it supervises mysqld,
// opens and closes it by what the authority says, replicates from the peer, and answers
// operator and peer.
//
// When to start, open, close, confirm and kill is decided by authority.Machine; this package
// carries that out. One loop owns the machine and never blocks; whatever can block runs
// beside it and reports back as an event. The path that kills mysqld at its deadline
// touches no volume, no SQL and no lock but that of what is known of mysqld (instance).
//
// Agent itself is the wiring, the loop and the dispatch of the machine's actions. Everything
// else is done by parts, each a type with its own state and its own lock where it needs one. A
// part takes what it needs of mysqld as an interface that it declares itself, and what it needs
// of other parts as values, functions and small interfaces, so that its decisions are tested
// without a mysqld. Four parts are known to all others: board is what is published, dataset is
// the data on the volume, instance is the mysqld that runs, queue are the events for the machine.
//
//   - For the machine: starter, exits and launcher start mysqld and see that it ends; opening and
//     closing change what it may do; replication, with its channel and applier, carries out the
//     standing order; waiting has commits wait; confirming asks the Lease and the peer; memoryFile
//     and volumeBeat write to the volume.
//   - All the time: watch looks at mysqld and the peer, with readOnlyGuard, ackGuard, lacking and
//     ownedSettings; upkeep does what can wait, with rotation, purging, quarantineGuard and
//     volumeSpace; eventGuard, roomGuard and jobGuard correct the rest.
//   - On request: access says who may ask; commands go to the machine; reports only answer;
//     initializing, seeding, rewinding and discarding replace data; draining, forcing, repairRights,
//     permit, trials and doorOrders serve operations.
//
// docs/agent.md says which part owns which state. Decisions that need nothing but values are in
// package judge.
//
// It refuses to start on a volume that another process uses or that belongs to someone
// else, to make data where there is some, and to open what it has not read back.
package agent
