// Package cluster is the real world behind package execute: the effects of steps on the
// API server and on agents, and the application of child objects.
//
// Every write is conditional, on a resourceVersion, a UID or an owner; a condition that
// does not hold is execute.ErrConflict, and nothing here tries again. It decides nothing.
package cluster
