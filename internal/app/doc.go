// Package app puts the operator together: flags, manager, caches, controllers, and a new manager in
// place of one that lost its leadership or the API server.
//
// It decides nothing about a pair. It refuses options that contradict each other, before anything
// is started, and names the option.
package app
