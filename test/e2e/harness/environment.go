package harness

import (
	"cmp"
	"os"
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

// OldMySQLImage holds a mysqld that is too old.
func OldMySQLImage() string {
	return cmp.Or(os.Getenv("E2E_OLD_MYSQL_IMAGE"), "ghcr.io/dbpair/e2e-old-mysql:dev")
}

// Long reports whether the long extras were asked for.
func Long() bool { return os.Getenv("E2E_LONG") != "" }
