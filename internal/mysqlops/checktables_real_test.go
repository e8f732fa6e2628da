package mysqlops_test

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestTablesAreChecked(t *testing.T) {
	ctx := t.Context()
	server := mysqldtest.Start(t, mysqldtest.Options{})
	before, err := server.Ops.CheckTables(ctx, nil)
	if err != nil || before < 20 {
		t.Fatalf("%d tables, %v", before, err)
	}
	server.Open(false)
	client := server.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	long := strings.Repeat("ö", 64)
	mustExec(t, client,
		"CREATE TABLE app.`we``ird ?.%s` (id INT PRIMARY KEY, v INT, KEY (v))",
		"INSERT INTO app.`we``ird ?.%s` VALUES (1, 1), (2, 2)",
		"CREATE TABLE app.`"+long+"` (id INT) PARTITION BY HASH (id) PARTITIONS 3",
		"CREATE VIEW app.v AS SELECT * FROM app.`"+long+"`")
	var last, all int
	tables, err := server.Ops.CheckTables(ctx, func(done, total int) {
		last = done
		all = total
	})
	if err != nil || tables != before+2 || last != tables-1 || all != tables {
		t.Errorf("%d tables of %d before, progress %d of %d: %v", tables, before, last, all, err)
	}
	if said, err := server.Ops.CheckTable(ctx, "`app`.`none`"); err != nil || !strings.Contains(said, "doesn't exist") {
		t.Errorf("a table that is not there: %q, %v", said, err)
	}
}
