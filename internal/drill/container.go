package drill

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// RunInContainer is "agent restore-drill": Run with what the arguments say, until that ends or SIGTERM comes. The log
// takes what mysqld says.
func RunInContainer(args []string, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	o.Log = log
	stop := make(chan struct{})
	defer close(stop)
	process.ReapOrphans(stop)
	ctx, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer end()
	return Run(ctx, o)
}

func parse(args []string) (Options, error) {
	flags := flag.NewFlagSet("restore-drill", flag.ContinueOnError)
	shared := flags.String("shared", agentapi.RunDir, "the directory that is shared with the container that serves the backup")
	volume := flags.String("volume", agentapi.DataDir, "the directory of the data")
	config := flags.String("config", filepath.Join(agentapi.ConfigDir, agentapi.ConfigFile), "the agents' configuration of the pair")
	mysqld := flags.String("mysqld", "mysqld", "the program")
	memory := flags.Int64("memory", 0, "the memory limit of the container in bytes; 0 for none")
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	text, err := os.ReadFile(*config)
	if err != nil {
		return Options{}, fmt.Errorf("--config: %w", err)
	}
	o := Options{
		Shared:      Shared(*shared),
		Volume:      *volume,
		Mysqld:      *mysqld,
		MemoryBytes: *memory,
	}
	if err := json.Unmarshal(text, &o.Config); err != nil {
		return Options{}, fmt.Errorf("--config %s: %w", *config, err)
	}
	return o, nil
}
