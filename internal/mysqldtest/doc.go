// Package mysqldtest starts real mysqlds for tests: unprivileged, on loopback,
// from one data directory that is initialized once per test process and then
// copied, with the option file and the command line that the product uses.
//
// Everything it starts ends with the test, and at the latest with the test
// process. What a killed one leaves in /tmp goes at the next start. Where no mysqld is to be found it skips loudly, or fails when
// DBPAIR_REQUIRE_MYSQLD=1.
//
// It refuses to download anything: hack/mysqld.sh does that.
package mysqldtest
