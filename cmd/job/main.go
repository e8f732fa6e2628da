// Command job is the process of the Jobs that compare a pair's members and repair their
// tables. It only starts package job, which has access to its own ConfigMap and to nothing else
// in the cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dbpair/dbpair/internal/agent"
	"github.com/dbpair/dbpair/internal/job"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// version is set by the linker.
var version = "dev"

const usage = `usage: job run | version`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(jobapi.ExitForGood)
	}
	switch os.Args[1] {
	case "version":
		fmt.Println(version)
	case "run":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := job.RunInPod(ctx, agent.NewLog(os.Stdout))
		stop()
		os.Exit(status(err))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(jobapi.ExitForGood)
	}
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
