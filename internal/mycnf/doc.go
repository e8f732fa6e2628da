// Package mycnf renders the option file and the command line of a member's
// mysqld and says which settings dbpair owns.
//
// It is pure: facts in, text out. Paths are arguments.
//
// It refuses settings of the user that dbpair owns, that no supported mysqld
// knows the form of, or whose value could begin another line or section.
package mycnf
