// Command agent is the first process of a member's mysqld container, the deadman beside it, the exporter's parent and the
// packet rule's in containers of their own, what runs the mysqld of a restore drill, and what the init container runs to
// bring it in. It only reads its arguments and starts package agent or the deadman; it decides nothing and talks to no
// mysqld itself.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/dbpair/dbpair/internal/agent"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/drill"
	"github.com/dbpair/dbpair/internal/exporter"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/packetrule"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// version is set by the linker.
var version = "dev"

const usage = "usage: agent run | deadman | install <dir> | state | sessions | quarantine | exporter | packet-rule | restore-drill | " +
	"version | failpoints"

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
		return agent.RunInContainer(args[1:], version)
	case "deadman":
		return process.RunDeadman()
	case "install":
		if len(args) != 2 {
			return errors.New(usage)
		}
		return agent.Install(args[1])
	case "state":
		return agent.PrintState(args[1:], os.Stdout)
	case "sessions":
		return agent.PrintSessions(args[1:], os.Stdout)
	case "quarantine":
		return quarantine.Run(args[1:], os.Stdout)
	case "exporter", "packet-rule", "restore-drill":
		return runBeside(args)
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

// runBeside is what runs in containers beside the agent's, or without one.
func runBeside(args []string) error {
	switch args[0] {
	case "exporter":
		return exporter.RunInContainer(mysqlops.UserMonitor)
	case "packet-rule":
		return packetrule.RunInContainer(agent.NewLog(os.Stdout).WithName("packet-rule"))
	default:
		return drill.RunInContainer(args[1:], os.Stderr)
	}
}
