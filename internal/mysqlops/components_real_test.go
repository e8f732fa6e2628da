package mysqlops_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// TestComponentsAreInstalledWithoutATrace: INSTALL COMPONENT on a closed member makes no
// transaction that its peer would lack.
func TestComponentsAreInstalledWithoutATrace(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	installed, err := member.Ops.InstallComponents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(installed) != 1 || installed[0] != mysqlops.ComponentClassicHashing {
		t.Errorf("installed %v", installed)
	}
	if again, err := member.Ops.InstallComponents(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("the second time: %v, %v", again, err)
	}
	root := member.Root()
	for query, want := range map[string]string{
		"SELECT MD5('1')":              "c4ca4238a0b923820dcc509a6f75849b",
		"SELECT SHA1('1')":             "356a192b7913b04c54574d18c28d46e6395428ab",
		"SELECT @@gtid_executed":       "",
		"SELECT @@super_read_only":     "1",
		"SELECT @@session.sql_log_bin": "1",
	} {
		var got string
		if err := root.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", query, got, err, want)
		}
	}
}
