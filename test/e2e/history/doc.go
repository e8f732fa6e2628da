// Package history judges what happened to a pair from what its witnesses wrote down:
// the clients' acknowledged writes, the agents' open and closed stamps, both members'
// binlogs, and a poller of both members.
//
// Every stamp is CLOCK_BOOTTIME in nanoseconds unless a name says otherwise. Under kind
// all nodes share one kernel, so stamps of different machines compare exactly; on a
// cluster of real machines these checks would not hold and must not be run.
//
// The package is pure. It never repairs or guesses: a history with a missing end is
// reported as such by the caller, who alone knows when a process was killed from
// outside.
package history
