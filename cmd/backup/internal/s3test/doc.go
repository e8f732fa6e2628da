// Package s3test runs a real S3 server for tests: versitygw on loopback over a temporary
// directory, by HTTP or TLS, with three accounts and one bucket. A proxy before it changes,
// answers or delays single requests.
//
// The server ends with the test, and at the latest with the test process. Where the program
// is not to be found it skips loudly, or fails when DBPAIR_REQUIRE_S3=1.
//
// It refuses to build anything: hack/tools/build.sh versitygw does that.
package s3test
