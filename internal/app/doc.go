// Package app puts the operator together: flags, manager, caches, controllers.
//
// It holds no behavior of its own beyond that.
package app
