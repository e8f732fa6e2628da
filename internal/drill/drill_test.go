package drill

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

func newOptions(t *testing.T) Options {
	t.Helper()
	return Options{
		Shared: Shared(t.TempDir()),
		Volume: t.TempDir(),
		Mysqld: "/bin/false",
		Log:    io.Discard,
	}
}

func reportOf(t *testing.T, o Options) Report {
	t.Helper()
	report, found, err := o.Shared.Report()
	if err != nil || !found {
		t.Fatalf("no report: %v", err)
	}
	return report
}

func TestRunEndsWhenNothingMoreIsWanted(t *testing.T) {
	o := newOptions(t)
	if _, found, err := o.Shared.Report(); found || err != nil {
		t.Fatalf("a report before the first: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Run(t.Context(), o) }()
	for {
		if _, found, err := o.Shared.Report(); found {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := o.Shared.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if report := reportOf(t, o); report.Ended || report.Step != StepPrepare {
		t.Errorf("report %+v", report)
	}
}

func TestRunReportsWhyNothingWasRestored(t *testing.T) {
	for name, c := range map[string]struct {
		plan    Plan
		says    string
		noRoom  bool
		forGood bool
	}{
		"a mysqld that ends": {Plan{Port: 1}, "mysqld --initialize: exit status 1", false, false},
		"no room":            {Plan{Port: 1, Bytes: 1 << 60}, "raise spec.storage.size", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOptions(t)
			if err := o.Shared.Begin(c.plan); err != nil {
				t.Fatal(err)
			}
			if err := Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			got := reportOf(t, o)
			if !got.Ended || !strings.Contains(got.Error, c.says) || got.NoRoom != c.noRoom || got.ForGood != c.forGood || got.Step != StepPrepare {
				t.Errorf("report %+v", got)
			}
		})
	}
}

func TestSettingsThatAreRefusedAreNamed(t *testing.T) {
	o := newOptions(t)
	o.Config.MySQL = map[string]string{"datadir": "/elsewhere"}
	if err := o.Shared.Begin(Plan{Port: 1}); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := reportOf(t, o); !strings.Contains(got.Error, "spec.mysql.config") {
		t.Errorf("report %+v", got)
	}
}

func TestAFileThatIsNoneIsNamed(t *testing.T) {
	o := newOptions(t)
	if err := os.WriteFile(o.Shared.File(planFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), planFile) {
		t.Errorf("error %v", err)
	}
}

// What the data itself is to blame for lasts; a mysqld that was killed does not.
func TestWhatLasts(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("x: %w", mysqlops.ErrTableDamaged):                          true,
		fmt.Errorf("%w: %w", mysqlops.ErrReplay, mysqlops.ErrApplier):          true,
		fmt.Errorf("%w: it lacks some", errOtherGTIDs):                         true,
		fmt.Errorf("%w: its source is away", mysqlops.ErrReplay):               false,
		fmt.Errorf("%w: the donor has gone", mysqlops.ErrClone):                false,
		fmt.Errorf("mysqld has ended: %w", mysqlops.ErrConnectionLost):         false,
		errors.New("the container mysqld has been killed while it was copied"): false,
	} {
		if lasting(err) != want {
			t.Errorf("%v: %t", err, !want)
		}
	}
}

func TestARestoreTakesAllButTheCheck(t *testing.T) {
	f := Found{Took: map[Step]time.Duration{StepPrepare: 1, StepCopy: 2, StepOpen: 4, StepCheck: 100, StepReplay: 8}}
	if got := f.RestoreTime(); got != 15 {
		t.Errorf("%d", got)
	}
}

func TestArgumentsThatAreWrongAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "agent.json")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--config", empty}, {"--config", empty + "x"}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), "--config") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := parse([]string{"--memory", "much"}); err == nil || !strings.Contains(err.Error(), "-memory") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(empty, []byte(`{"mysql":{"max_connections":"60"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"--config", empty, "--memory", "77"})
	if err != nil || o.MemoryBytes != 77 || o.Config.MySQL["max_connections"] != "60" || o.Mysqld != "mysqld" {
		t.Errorf("%+v, %v", o, err)
	}
}
