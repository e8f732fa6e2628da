package mysqldtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Binaries are the programs of one MySQL installation.
type Binaries struct {
	Mysqld string
	// Dir holds mysqld's companions, such as my_print_defaults; not all of
	// them need to be there.
	Dir string
}

// Require returns mysqld, or skips the test saying what is missing. In order:
// the program DBPAIR_MYSQLD, the folder DBPAIR_MYSQL_BIN, and where
// hack/mysqld.sh leaves its result.
func Require(tb testing.TB) Binaries {
	tb.Helper()
	if testing.Short() {
		tb.Skip("SKIPPED: -short leaves out everything that needs a real mysqld")
	}
	for _, candidate := range candidates() {
		if info, err := os.Stat(candidate); err == nil && info.Mode()&0o111 != 0 {
			// .ci/run counts these lines: a green run without a real mysqld is none.
			tb.Log("TIER mysqld:", filepath.Base(candidate))
			return Binaries{Mysqld: candidate, Dir: filepath.Dir(candidate)}
		}
	}
	const message = "no mysqld for tests: run hack/mysqld.sh, or set DBPAIR_MYSQLD to the program"
	if os.Getenv("DBPAIR_REQUIRE_MYSQLD") == "1" {
		tb.Fatal(message)
	}
	tb.Skip("SKIPPED: " + message)
	return Binaries{}
}

func candidates() []string {
	var list []string
	if program := os.Getenv("DBPAIR_MYSQLD"); program != "" {
		list = append(list, program)
	}
	if dir := os.Getenv("DBPAIR_MYSQL_BIN"); dir != "" {
		list = append(list, filepath.Join(dir, "mysqld"))
	}
	dirs := []string{os.Getenv("DBPAIR_MYSQL_DIR"), os.Getenv("DBPAIR_CACHE"), "/var/cache/dbpair"}
	if home, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, "dbpair"))
	}
	for _, dir := range dirs {
		if dir != "" {
			list = append(list, filepath.Join(dir, "mysql", "bin", "mysqld"))
		}
	}
	return list
}
