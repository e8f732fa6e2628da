package mysqlops_test

import (
	"os"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestTemporaryFilesAreInTheirDirectory: sorts, online DDL and transactions that exceed their
// buffers write to the directory of temporary files and to no other. They fail while that
// directory takes no file, and work while it does.
func TestTemporaryFilesAreInTheirDirectory(t *testing.T) {
	m := mysqldtest.Start(t, mysqldtest.Options{Settings: map[string]string{
		"binlog_cache_size": "4096", "sort_buffer_size": "32768", "innodb_sort_buffer_size": "65536",
	}})
	m.Open(false)
	root := m.Root()
	root.SetMaxIdleConns(0) // a session keeps the file of its first large transaction
	const rows = "INSERT INTO app.wide (v) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) " +
		"SELECT CONCAT(SHA2(i, 256), REPEAT('x', 300)) FROM n"
	mustExec(t, root, "CREATE TABLE app.wide (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(400) NOT NULL)", rows)
	work := []struct{ name, statement string }{
		{"a sort", "SET @last = (SELECT MAX(v) FROM (SELECT v FROM app.wide ORDER BY v LIMIT 10000) s)"},
		{"an index, online", "ALTER TABLE app.wide ADD INDEX (v), ALGORITHM = INPLACE, LOCK = NONE"},
		{"a rebuilt table", "ALTER TABLE app.wide ADD INDEX (v, id), FORCE, ALGORITHM = INPLACE"},
		{"a large transaction", rows},
	}
	for _, mode := range []os.FileMode{0o500, 0o700} {
		if err := os.Chmod(m.Member.TempDir, mode); err != nil {
			t.Fatal(err)
		}
		for _, one := range work {
			_, err := root.ExecContext(t.Context(), one.statement)
			if writable := mode == 0o700; writable != (err == nil) {
				t.Errorf("%s, with a directory of mode %o: %v", one.name, mode, err)
			}
		}
	}
}
