package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// TestGivingUpIsNotTheImagesFault: a pod that ends, or a member that has something else to
// do, cuts the questions to mysqld short. Nobody is to be told to correct their manifest
// for that.
func TestGivingUpIsNotTheImagesFault(t *testing.T) {
	const asks = "/bin/true"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, program := range map[string]string{"before the image was asked": "", "before the settings were": "9.7.0"} {
		t.Run(name, func(t *testing.T) {
			state := newTestBoard()
			mysqld := &instance{}
			mysqld.hasProgram(program)
			opt := Options{Mysqld: asks, RunDir: t.TempDir(), MySQLPort: 3306, AdminPort: 33062}
			vol := volume.Open(t.TempDir(), "")
			image := &image{mysqld: asks, running: mysqld, state: state}
			l := &launcher{
				opt:    opt,
				log:    logr.Discard(),
				image:  image,
				vol:    vol,
				mysqld: mysqld,
				state:  state,
				options: &optionFile{
					opt:    opt,
					env:    Environment{PodIP: "127.0.0.1"},
					config: (&settings{}).get,
					vol:    vol,
					mysqld: mysqld,
					state:  state,
					ask:    image.ask,
				},
			}
			if _, _, err := l.launch(ctx, vol.DataDir(), false); !errors.Is(err, context.Canceled) {
				t.Errorf("launch = %v, want %v", err, context.Canceled)
			}
			for _, code := range []agentapi.ProblemCode{agentapi.ProblemNoMysqld, agentapi.ProblemConfigInvalid} {
				if p := state.problems[code]; p != nil {
					t.Errorf("told %s: %s", code, p.Message)
				}
			}
		})
	}
}
