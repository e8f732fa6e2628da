package mysqlops_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestWhatTheApplierWaitsForIsEnded(t *testing.T) {
	pair, client := openPair(t)
	ctx := t.Context()
	mustExec(t, client, "CREATE TABLE app.other (id INT PRIMARY KEY)")
	if err := pair.B.Ops.OpenReadOnly(ctx); err != nil {
		t.Fatal(err)
	}
	root := pair.B.Root()
	cases := []struct{ name, begin, hold, change string }{
		{"a transaction that has read the table", "BEGIN", "SELECT * FROM app.t", "ALTER TABLE app.t ADD COLUMN w INT"},
		{"LOCK TABLES", "DO 1", "LOCK TABLES app.t READ", "INSERT INTO app.t (id) VALUES (50)"},
		{"a locking read", "BEGIN", "SELECT * FROM app.t FOR SHARE", "UPDATE app.t SET v = 8"},
		{"a global read lock", "DO 1", "FLUSH TABLES WITH READ LOCK", "INSERT INTO app.t (id) VALUES (51)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pair.B.AwaitStatus("all is applied", func(s mysqlops.Status) bool { return s.Executed.Covers(s.Received) && s.Executed.Count() > 2 })
			holder, err := root.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Close()
			bystander, err := pair.B.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false).Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer bystander.Close()
			for _, statement := range []string{c.begin, c.hold} {
				if _, err := holder.ExecContext(ctx, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			for _, statement := range []string{"BEGIN", "SELECT * FROM app.other"} {
				if _, err := bystander.ExecContext(ctx, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			mustExec(t, client, c.change)
			a, err := pair.A.Ops.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := pair.B.Ops.WaitApplied(ctx, a.Executed, time.Second); !errors.Is(err, mysqlops.ErrDeadline) {
				t.Fatalf("trap: the applier does not wait for the session: %v", err)
			}
			ended := 0
			mysqldtest.Await(t, "the applier goes on", func() bool {
				n, err := pair.B.Ops.EndBlockers(ctx)
				if err != nil {
					t.Fatal(err)
				}
				ended += n
				return pair.B.Ops.WaitApplied(ctx, a.Executed, 250*time.Millisecond) == nil
			})
			if ended != 1 {
				t.Errorf("%d sessions ended, want the one that stood in the way", ended)
			}
			if err := bystander.PingContext(ctx); err != nil {
				t.Errorf("a session that stood in nobody's way was ended: %v", err)
			}
		})
	}
}
