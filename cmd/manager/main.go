// Command manager is the dbpair operator. It reads its flags and starts package app; it opens no
// connection to a mysqld and keeps nothing that its successor would need.
package main

import (
	"errors"
	"fmt"
	"os"
	_ "time/tzdata" // the image has no time zones, and schedules name them

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/dbpair/dbpair/internal/app"
)

// version is set by the linker.
var version = "dev"

func main() {
	options, err := app.Parse(os.Args[1:], os.Stderr)
	if errors.Is(err, app.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(2)
	}
	options.Version = version
	ctrl.SetLogger(app.Logger(options, os.Stderr))
	if err := run(options); err != nil {
		ctrl.Log.Error(err, "the operator ends")
		os.Exit(1)
	}
}

func run(options app.Options) error {
	conf, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	return app.Run(ctrl.SetupSignalHandler(), conf, options)
}
