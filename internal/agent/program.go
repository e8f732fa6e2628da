package agent

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
)

// RunInContainer is "agent run": it serves the member of this container until SIGTERM was
// obeyed. An error names what is missing or wrong.
func RunInContainer(args []string, version string) error {
	opt, env, err := parse(args)
	if err != nil {
		return err
	}
	terminate := make(chan os.Signal, 4)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	defer close(stop)
	process.ReapOrphans(stop)
	a, err := New(opt, env, version, NewLog(os.Stdout))
	if err != nil {
		return err
	}
	return a.Run(context.Background(), terminate)
}

// PrintState is "agent state": what the agent of this container says, as JSON.
func PrintState(args []string, w io.Writer) error {
	opt, env, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := AskState(ctx, opt, env)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(answer)
}

// PrintSessions is "agent sessions": the sessions of clients of this container's mysqld, as JSON.
func PrintSessions(args []string, w io.Writer) error {
	opt, env, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := AskSessions(ctx, opt, env)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(answer)
}

func parse(args []string) (Options, Environment, error) {
	opt, err := ParseOptions(args)
	if err != nil {
		return opt, Environment{}, err
	}
	env, err := ReadEnvironment(os.Getenv)
	return opt, env, err
}
