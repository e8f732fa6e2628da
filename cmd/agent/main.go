// Command agent is the first process of a member's mysqld container, the deadman beside
// it, and what the init container runs to bring it in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/internal/agent"
	"github.com/dbpair/dbpair/internal/agent/process"
)

// version is set by the linker.
var version = "dev"

const usage = `usage: agent run | deadman | install <dir> | state | version | failpoints`

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "run":
		return run(args[1:])
	case "deadman":
		return process.RunDeadman()
	case "install":
		if len(args) != 2 {
			return errors.New(usage)
		}
		return agent.Install(args[1])
	case "state":
		return state(args[1:])
	case "version":
		fmt.Println(version)
		return nil
	case "failpoints":
		for _, p := range agent.Failpoints() {
			fmt.Println(p)
		}
		return nil
	default:
		return errors.New(usage)
	}
}

// state prints what the agent of this container says, as JSON.
func state(args []string) error {
	opt, err := agent.ParseOptions(args)
	if err != nil {
		return err
	}
	env, err := agent.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := agent.AskState(ctx, opt, env)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func run(args []string) error {
	opt, err := agent.ParseOptions(args)
	if err != nil {
		return err
	}
	env, err := agent.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	terminate := make(chan os.Signal, 4)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	defer close(stop)
	process.ReapOrphans(stop)
	a, err := agent.New(opt, env, version, agent.NewLog(os.Stdout))
	if err != nil {
		return err
	}
	return a.Run(context.Background(), terminate)
}
