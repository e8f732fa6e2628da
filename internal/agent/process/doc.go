// Package process runs mysqld as a child and sees to its end: the child itself, the
// deadman beside it, and the reaping of orphans that a first process of a container has
// to do.
//
// It decides nothing: deadlines say when mysqld has to die, measured on CLOCK_BOOTTIME. It
// refuses to signal by number where a pidfd is at hand, since numbers are reused.
package process
