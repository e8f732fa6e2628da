// Package recovery finds how a moment is restored from a pair's backups and its archive of binary
// logs: the backup to begin with, and where the replay of the archive ends. It also says which
// moments can be restored.
//
// It refuses to guess: a target that no backup and archive lead to is an error that names the
// moments which can be restored.
package recovery
