// Package programs starts the client programs of this folder and speaks with them as protocol.md says: one line asks, one
// line answers. They run in a file system that has what hack/clients.sh unpacked, the programs at Dir, and a Secret of an
// application. It judges nothing of what they say, and speaks no MySQL itself.
package programs
