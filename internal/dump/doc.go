// Package dump reads SQL dumps (of mysqldump and its kind) as the mysql client reads them:
// statement by statement, with strings, comments, version comments and DELIMITER. It names
// what must not be loaded into a pair before anything is loaded, and takes out what would
// bypass the binary log.
//
// It is no parser of SQL: it knows where a statement begins and ends, its first words, and
// what stands outside of strings. It assumes the default sql_mode; a dump that was made with
// NO_BACKSLASH_ESCAPES is read wrongly where a string ends in a backslash.
package dump
