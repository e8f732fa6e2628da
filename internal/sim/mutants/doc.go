// Package mutants keeps bugs that the simulator must find: each a patch of production code
// that takes one rule of the protocol away. The code itself holds no switch for them; a
// patch is applied to a copy, which the go command takes in the place of the original.
//
// It refuses a patch that does not fit its file exactly: when the code changes, the patch
// has to follow.
package mutants
