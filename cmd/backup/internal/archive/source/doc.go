// Package source stands for a MySQL server from which a real one replicates: it sends what an
// archive of binary logs has, by GTID, up to a cut. The receiver is configured like for any
// other source (SOURCE_AUTO_POSITION=1, SOURCE_SSL=1) and goes on after an interruption by itself.
//
// It refuses connections without TLS, and receivers that lack what comes before the archive or
// have what comes after the cut.
package source
