// Package backup has the format of a backup in an object store and the rule that decides how
// long each one stays. See docs/backup.md for the format.
//
// A backup is a folder of objects that are written once, its manifest last. A folder without
// a manifest is no backup: the run that wrote it did not finish.
//
// It refuses to open SQL connections other than those of a clone, and to know which provider
// the objects are stored at.
package backup
