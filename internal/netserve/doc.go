// Package netserve accepts connections for programs that speak MySQL's protocol to a few peers:
// the donor that replays a backup, and the source that serves an archive. It serves a bounded
// number at once and has no limit of time: who serves a connection sets its deadlines.
package netserve
