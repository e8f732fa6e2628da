// Package mutants keeps bugs that the tests of comparisons must find: each a patch that takes
// one guard away, and the tests that fail without it. make checksum-bugs plants one after the
// other. The patches are those of internal/sim/mutants in form.
//
// It refuses a patch that does not fit its file exactly: when the code changes, the patch
// has to follow.
package mutants
