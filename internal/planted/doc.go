// Package planted switches bugs on that the simulator must find. Without the build tag
// plantedbugs every switch is the constant false, so that no product binary holds one.
//
// It refuses to be of any other use: a switch guards one line that a rule of the protocol
// forbids, and its name is in internal/sim's list.
package planted
