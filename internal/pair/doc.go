// Package pair holds the terms every other package speaks in: the identities of a pair, its
// members, their data and their processes, the version of its authority, and the names, labels
// and ports that more than one package needs.
//
// It holds types and constants and refuses to act: it reads nothing, imports no other package of
// this project, and knows no Kubernetes client. Each identity has its own type, so that a
// member's name cannot be passed where the name of its data is wanted.
package pair
