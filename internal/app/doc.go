// Package app puts the operator together: flags, manager, caches, controllers.
//
// It holds no behaviour of its own beyond that.
package app
