package mysqlops_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const (
	passwordRules = "component_validate_password"
	attributes    = "component_query_attributes"
)

// TestComponentsAreInstalledWithoutATrace: INSTALL COMPONENT on a closed member makes no
// transaction that its peer would lack.
func TestComponentsAreInstalledWithoutATrace(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	install := func(wanted, unwanted []string, installed, removed []string) {
		t.Helper()
		done, err := member.Ops.InstallComponents(t.Context(), wanted, unwanted)
		if err != nil || done.Err() != nil {
			t.Fatalf("%v, %v", err, done.Err())
		}
		if !slices.Equal(done.Installed, installed) || !slices.Equal(done.Removed, removed) {
			t.Errorf("installed %v, removed %v; want %v and %v", done.Installed, done.Removed, installed, removed)
		}
	}
	both := []string{attributes, passwordRules}
	install(both, nil, []string{mysqlops.ComponentClassicHashing, attributes, passwordRules}, nil)
	install(both, nil, nil, nil)
	install([]string{attributes}, both, nil, []string{passwordRules})
	install(nil, []string{mysqlops.ComponentClassicHashing, attributes, passwordRules}, nil, []string{attributes})
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

// TestAComponentThatFailsIsNamed: the others are installed, and the member stays closed.
func TestAComponentThatFailsIsNamed(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	done, err := member.Ops.InstallComponents(t.Context(), []string{"component_nosuch", attributes}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if done.Err() == nil || !strings.Contains(done.Err().Error(), "install component_nosuch: Error 1126") {
		t.Errorf("the failure is %v", done.Err())
	}
	if !slices.Contains(done.Installed, attributes) {
		t.Errorf("installed %v", done.Installed)
	}
	var closed bool
	if err := member.Root().QueryRow("SELECT @@super_read_only").Scan(&closed); err != nil || !closed {
		t.Errorf("super_read_only %v, %v", closed, err)
	}
	if _, err := member.Ops.InstallComponents(t.Context(), []string{"x'; DROP TABLE mysql.user; --"}, nil); err == nil {
		t.Error("a name that is none was taken")
	}
}

// TestLibrariesAreListed: those of the option file and those that someone installed by hand,
// without what every member has.
func TestLibrariesAreListed(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{Plugins: []string{"mysql_no_login.so", "nosuch.so"}})
	if _, err := member.Ops.InstallComponents(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	root := member.Root()
	for _, statement := range []string{
		"SET GLOBAL super_read_only = OFF",
		"INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'",
		"INSTALL PLUGIN mysql_no_login SONAME 'mysql_no_login.so'",
	} {
		if _, err := root.Exec(statement); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	got, err := member.Ops.Libraries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"auth_socket.so", "mysql_no_login.so"}; !slices.Equal(got.Plugins, want) {
		t.Errorf("plugins %v, want %v", got.Plugins, want)
	}
	if want := []string{mysqlops.ComponentClassicHashing}; !slices.Equal(got.Components, want) {
		t.Errorf("components %v, want %v", got.Components, want)
	}
}
