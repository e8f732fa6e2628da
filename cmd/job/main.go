// Command job is the process of the Jobs that compare a pair's members and repair their
// tables, and of the one that brings the dump that a new pair begins with. It only starts package job,
// which has access to its own ConfigMap and to nothing else in the cluster; with a dump not even to that.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent"
	"github.com/dbpair/dbpair/internal/job"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// version is set by the linker.
var version = "dev"

const usage = `usage: job run | dump | version`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(jobapi.ExitForGood)
	}
	switch os.Args[1] {
	case "version":
		fmt.Println(version)
	case "run":
		os.Exit(run(job.RunInPod))
	case "dump":
		os.Exit(run(job.BringDumpInPod))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(jobapi.ExitForGood)
	}
}

// run does one kind of work until it has ended or the pod ends, and returns the exit code.
func run(work func(context.Context, logr.Logger) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return status(work(ctx, agent.NewLog(os.Stdout)))
}

// status is the exit code: another pod is of use unless the error says otherwise.
func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, job.ErrPermanent):
		fmt.Fprintln(os.Stderr, "job:", err)
		return jobapi.ExitForGood
	default:
		fmt.Fprintln(os.Stderr, "job:", err)
		return 1
	}
}
