package repair

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// restart kills the passive's mysqld and does what its agent does then: it starts closed and
// strict, and follows.
func (w *world) restart() {
	w.Helper()
	ctx := context.Background()
	w.b.Kill()
	w.b.Boot()
	for _, step := range []func(context.Context) error{w.b.Ops.StartApplier, func(ctx context.Context) error {
		return w.b.Ops.SetReplicaAcknowledges(ctx, true)
	}, w.b.Ops.StartReceiver, w.b.Ops.OpenReadOnly} {
		if err := step(ctx); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) awaitApplierError(number int) {
	w.Helper()
	w.b.AwaitStatus(fmt.Sprintf("the applier stops with %d", number), func(s mysqlops.Status) bool {
		return !s.Channel.ApplierRunning && s.Channel.ApplierError.Number == number
	})
}

// testARepairGoesOnAfterThePassiveWasRestarted: mysqld dies when it has received the
// repair's transaction and not applied it. The next attempt takes the lease again.
func testARepairGoesOnAfterThePassiveWasRestarted(w *world) {
	for _, one := range []struct {
		name, drift string
		errno       int
	}{
		{"a row that is missing", "DELETE FROM z.t WHERE id = 2", 1032},
		{"a row that is there already", "INSERT INTO z.t VALUES (9, 9)", 1062},
	} {
		w.Run(one.name, func(t *testing.T) {
			w := &world{t, w.a, w.b, w.onA, w.onB}
			w.exec("DROP DATABASE IF EXISTS z", "CREATE DATABASE z", "CREATE TABLE z.t (id INT PRIMARY KEY, n INT)", "INSERT INTO z.t VALUES (1,1),(2,2),(3,3)",
				"CREATE TABLE z.other (id INT PRIMARY KEY, n INT)", "INSERT INTO z.other VALUES (1,1),(2,2)")
			w.plant(one.drift, "UPDATE z.other SET n = 9 WHERE id = 2")
			w.exec("GRANT INSERT, DELETE ON z.t TO " + writer)
			options, lenient, path := w.options(checksum.TableName{Schema: "z", Name: "t"})

			// The applier stands still from the moment of the lease, as a slow one would.
			lenient.before = func() error {
				lenient.before = nil
				_, err := w.onB.Exec("STOP REPLICA SQL_THREAD")
				return err
			}
			ended := make(chan error, 1)
			go func() {
				_, err := Run(w.Context(), options)
				ended <- err
			}()
			w.b.AwaitStatus("the repair is received", func(s mysqlops.Status) bool {
				return lenient.holds() > 0 && s.Channel.LagTransactions > 0 && !s.Channel.ApplierRunning
			})
			w.restart()
			if err := <-ended; !errors.Is(err, checksum.ErrSessionLost) {
				t.Errorf("the attempt that was interrupted: %v, want %v", err, checksum.ErrSessionLost)
			}
			w.awaitApplierError(one.errno)

			// Not for another table, and not for a dry run.
			other := options
			other.Table.Name = "other"
			if report, err := Run(t.Context(), other); !errors.Is(err, checksum.ErrNotReplicating) {
				t.Errorf("a repair of another table: %+v, %v", report, err)
			}
			dry := options
			dry.DryRun = true
			if report, err := Run(t.Context(), dry); !errors.Is(err, checksum.ErrNotReplicating) {
				t.Errorf("a dry run: %+v, %v", report, err)
			}

			// Written while it stands: applied under the lease, so that it is compared too.
			w.exec("UPDATE z.other SET n = n + 1 WHERE id = 1")
			lenient.starts = true
			report := w.repair(options)
			if report.Result != Repaired || report.After.State != checksum.Consistent {
				t.Errorf("the next attempt: %+v", report)
			}
			if len(report.Others) != 1 || report.Others[0].State != checksum.Different || !strings.Contains(strings.Join(report.Reasons, ";"), "z.other") {
				t.Errorf("what else was applied meanwhile: %+v, %v", report.Others, report.Reasons)
			}
			if len(readSaved(t, path)) == 0 {
				t.Error("nothing was saved")
			}
			w.stillStrict()
			if status := w.b.AwaitStatus("it follows", func(s mysqlops.Status) bool { return s.Channel.ApplierRunning }); status.Channel.ApplierError.Number != 0 {
				t.Errorf("%+v", status.Channel)
			}
			mysqldtest.Await(t, "nothing is left to apply", func() bool {
				status, err := w.b.Ops.Status(t.Context())
				return err == nil && status.Channel.LagTransactions == 0
			})
			w.exec("DROP DATABASE z")
		})
	}
}
