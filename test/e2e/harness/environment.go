package harness

import (
	"cmp"
	"os"
	"testing"
)

// MySQLImage under test.
func MySQLImage() string { return cmp.Or(os.Getenv("E2E_MYSQL_IMAGE"), "mysql:9.7") }

// OperatorImage under test.
func OperatorImage() string {
	return cmp.Or(os.Getenv("E2E_OPERATOR_IMAGE"), "ghcr.io/dbpair/dbpair:dev")
}

// FailpointImage is the operator's image with failpoints compiled in.
func FailpointImage() string {
	return cmp.Or(os.Getenv("E2E_FAILPOINT_IMAGE"), "ghcr.io/dbpair/dbpair:failpoints")
}

// ClientImage holds the program of test/e2e/client.
func ClientImage() string {
	return cmp.Or(os.Getenv("E2E_CLIENT_IMAGE"), "ghcr.io/dbpair/e2e-client:dev")
}

// ProgramsImage holds the client programs of test/clients, and what runs them.
func ProgramsImage() string {
	return cmp.Or(os.Getenv("E2E_PROGRAMS_IMAGE"), "ghcr.io/dbpair/e2e-programs:dev")
}

// PrometheusImage holds Debian's Prometheus.
func PrometheusImage() string {
	return cmp.Or(os.Getenv("E2E_PROMETHEUS_IMAGE"), "ghcr.io/dbpair/e2e-prometheus:dev")
}

// OldMySQLImage holds a mysqld that is too old.
func OldMySQLImage() string {
	return cmp.Or(os.Getenv("E2E_OLD_MYSQL_IMAGE"), "ghcr.io/dbpair/e2e-old-mysql:dev")
}

// S3ServerImage holds an S3 server. It is loaded into the cluster with E2E_LONG=1 only.
func S3ServerImage() string {
	return cmp.Or(os.Getenv("E2E_S3_IMAGE"), "ghcr.io/dbpair/e2e-s3:dev")
}

// NeedsLong skips a test that runs with E2E_LONG=1 only. CI lists what was left out so.
func NeedsLong(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("left out without E2E_LONG=1")
	}
}
