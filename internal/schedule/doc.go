// Package schedule says when something in cron form is due: pure functions of times that
// the caller gives. It starts nothing, remembers nothing and reads no clock.
package schedule
