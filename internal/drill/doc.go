// Package drill restores a backup into a mysqld that nobody uses, in order to know that it can be restored.
//
// Two containers of one pod do it. The one of the pair's image runs Run: it makes an empty data directory,
// has mysqld copy what the other one serves on loopback (CLONE), starts it on the copy, compares and checks that, and has it
// replicate what was archived since. The other one, with the program backup, has the credentials of the store and writes the
// result down. They share a directory, in which each file is written by one of them and replaced as a whole:
//
//	plan.json    what is served; Run waits for it
//	password     of the one account that the served backup and archive ask for
//	ca.crt, tls.crt, tls.key
//	             the certificate that they show, and the authority that has signed it
//	stop         nothing more is wanted
//	report.json  how far Run is, and how it ended
//
// mysqld has no network but its own connections to loopback, and its data goes with the pod.
package drill
