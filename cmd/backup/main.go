// Command backup takes, lists, verifies, serves and removes backups in an object store. It
// is the only program of the project with credentials of a store, and a Go module of its own,
// so that the SDKs of the providers are in no other. It refuses to write to the server that it
// takes a backup of.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		if errors.Is(err, errForGood) {
			os.Exit(jobapi.ExitForGood)
		}
		os.Exit(1)
	}
}
