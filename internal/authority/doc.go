// Package authority is the durable record of who may be primary: its content, the only
// changes that are allowed to it, and the machine by which an agent decides whether its
// mysqld may be open.
//
// Record and its transitions are pure values; Machine is a pure state machine that is
// told the time. Neither reads a clock, does I/O or knows Kubernetes; package lease
// beside this one keeps a Record in a Lease object. The package refuses to change a
// record in any way that is not one of the named transitions.
package authority
