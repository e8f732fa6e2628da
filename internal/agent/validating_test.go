package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// noZones knows no time zone of a name.
type noZones struct{}

func (noZones) CheckTimeZone(_ context.Context, zone string) error {
	return fmt.Errorf("%w: %s", mysqlops.ErrTimeZone, zone)
}

// newTrials asks a mysqld that answers so.
func newTrials(t *testing.T, up bool, ask func(context.Context, ...string) (string, error)) *trials {
	t.Helper()
	return &trials{
		env: Environment{PairUID: "pair-a", PairName: "shop"},
		dir: filepath.Join(t.TempDir(), "validate-config"),
		member: func(dataDir string) mycnf.Member {
			return mycnf.Member{PodIP: "127.0.0.1", Host: "shop-0", Port: 3306, AdminPort: 33062, DataDir: dataDir}
		},
		ask:    ask,
		server: noZones{},
		isUp:   func() bool { return up },
	}
}

func TestWhatIsSaidOfSettings(t *testing.T) {
	exit := exec.CommandContext(t.Context(), "/bin/false").Run()
	for name, c := range map[string]struct {
		settings map[string]string
		up       bool
		out      string
		err      error
		option   string // of the one problem; empty for none
	}{
		"mysqld takes them":            {settings: map[string]string{"max_connections": "100"}},
		"mysqld refuses one":           {map[string]string{"lock_wait_timeout": "many"}, false, "x [ERROR] unknown value for lock_wait_timeout", exit, "lock_wait_timeout"},
		"a time zone that nobody asks": {settings: map[string]string{"default_time_zone": "Nowhere/Here"}},
		"a time zone that is unknown":  {settings: map[string]string{"default_time_zone": "Nowhere/Here"}, up: true, option: "default_time_zone"},
	} {
		t.Run(name, func(t *testing.T) {
			trial := newTrials(t, c.up, func(context.Context, ...string) (string, error) { return c.out, c.err })
			reply, err := trial.validate(t.Context(), agentapi.ValidateConfigRequest{PairUID: "pair-a", Settings: c.settings})
			if err != nil {
				t.Fatal(err)
			}
			if c.option == "" && len(reply.Problems) == 0 {
				return
			}
			if len(reply.Problems) != 1 || reply.Problems[0].Option != c.option {
				t.Errorf("problems %+v, want one of %q", reply.Problems, c.option)
			}
		})
	}
}

func TestAMysqldThatCannotBeAskedSaysNothingOfSettings(t *testing.T) {
	trial := newTrials(t, false, func(context.Context, ...string) (string, error) { return "", errors.New("killed") })
	request := agentapi.ValidateConfigRequest{PairUID: "pair-a"}
	if reply, err := trial.validate(t.Context(), request); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("%+v, %v", reply, err)
	}
	if _, err := os.Stat(trial.dir); !os.IsNotExist(err) {
		t.Errorf("the files of the trial are left: %v", err)
	}
}

func TestSettingsAreTriedOneRequestAtATime(t *testing.T) {
	request := agentapi.ValidateConfigRequest{PairUID: "pair-a"}
	var trial *trials
	var second error
	trial = newTrials(t, false, func(ctx context.Context, _ ...string) (string, error) {
		_, second = trial.validate(ctx, request)
		return "", nil
	})
	if _, err := trial.validate(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	var refused refusal
	if !errors.As(second, &refused) || refused.code != agentapi.ErrorRefused {
		t.Errorf("one in the middle of another: %v", second)
	}
	if _, err := trial.validate(t.Context(), agentapi.ValidateConfigRequest{PairUID: "pair-b"}); err == nil {
		t.Error("another pair's request was answered")
	}
}
