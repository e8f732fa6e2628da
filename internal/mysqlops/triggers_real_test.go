package mysqlops_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestAnApplicationCreatesTriggersAndFunctions: without SUPER, and what they did is the same on
// both members.
func TestAnApplicationCreatesTriggersAndFunctions(t *testing.T) {
	members := mysqldtest.StartPair(t)
	members.A.Open(true)
	app := members.A.Client("app", mysqldtest.Passwords.App, false)
	for _, statement := range []string{
		"CREATE TABLE app.counted (id INT PRIMARY KEY, mark CHAR(36))",
		"CREATE FUNCTION app.mark() RETURNS CHAR(36) RETURN UUID()",
		"CREATE TRIGGER app.marks BEFORE INSERT ON app.counted FOR EACH ROW SET NEW.mark = app.mark()",
		"INSERT INTO app.counted (id) VALUES (1), (2)",
	} {
		if _, err := app.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	caughtUp(t, members.A, members.B)
	var marks [2]string
	for i, member := range []*mysqldtest.Instance{members.A, members.B} {
		err := member.Root().QueryRow("SELECT GROUP_CONCAT(mark ORDER BY id) FROM app.counted").Scan(&marks[i])
		if err != nil {
			t.Fatal(err)
		}
	}
	if marks[0] != marks[1] || len(marks[0]) != 73 {
		t.Errorf("primary %q, passive %q", marks[0], marks[1])
	}
}
