package quarantine

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

const usage = `usage: agent quarantine list [ENTRY] | show [--rows N] [--limit N] [--gtids SET] ENTRY | cat ENTRY FILE |
executed | changes --gtids SET`

const (
	// MostRows is how many rows are printed at most.
	MostRows = 10000
	// memory is above what the program's own garbage may not grow, in bytes: it shares the
	// container's memory with mysqld.
	memory = 64 << 20
	// lowest priority on the processor, so that mysqld goes first.
	lowest = 19
)

// Run is "agent quarantine": it prints entries and transactions as JSON, and files as they are.
func Run(args []string, w io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	var root, binlogs, configDir, set string
	wanted := Wanted{}
	flags := flag.NewFlagSet("agent quarantine "+args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&root, "data-dir", agentapi.DataDir, "")
	flags.StringVar(&binlogs, "binlog-dir", os.Getenv(agentapi.EnvBinlogDir), "")
	flags.StringVar(&configDir, "config-dir", agentapi.ConfigDir, "")
	flags.StringVar(&set, "gtids", "", "")
	flags.Int64Var(&wanted.Transactions, "limit", 1000, "")
	flags.Int64Var(&wanted.Rows, "rows", 0, "")
	if err := flags.Parse(args[1:]); err != nil {
		return fmt.Errorf("%w; %s", err, usage)
	}
	var err error
	if wanted, err = wanted.checked(set); err != nil {
		return err
	}
	debug.SetMemoryLimit(memory)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
	q := Of(volume.Open(root, binlogs), retentionIn(configDir))
	switch command := args[0]; {
	case command == "show" && flags.NArg() == 1:
		out := bufio.NewWriter(w)
		encoder := json.NewEncoder(out)
		err := q.Show(flags.Arg(0), wanted, func(r agentapi.QuarantineRecord) error { return encoder.Encode(r) })
		return errors.Join(err, out.Flush())
	case command == "cat" && flags.NArg() == 2:
		return q.Copy(w, flags.Arg(0), flags.Arg(1))
	}
	answer, err := q.answer(args[0], flags.Args(), wanted)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(answer)
}

// answer is what a command prints as one JSON value.
func (q Quarantine) answer(command string, args []string, wanted Wanted) (any, error) {
	switch {
	case command == "list" && len(args) == 0:
		return q.List()
	case command == "list" && len(args) == 1:
		return q.Entry(args[0])
	case command == "executed" && len(args) == 0:
		return q.Executed()
	case command == "changes" && len(args) == 0:
		return q.Changes(wanted.GTIDs)
	}
	return nil, errors.New(usage)
}

// checked refuses limits that make no sense, and takes 0 transactions for all.
func (w Wanted) checked(set string) (Wanted, error) {
	var err error
	if w.GTIDs, err = gtid.Parse(set); err != nil {
		return w, fmt.Errorf("--gtids: %w", err)
	}
	if w.Rows < 0 || w.Rows > MostRows {
		return w, fmt.Errorf("--rows %d: it takes 0 to %d", w.Rows, MostRows)
	}
	if w.Transactions < 0 {
		return w, fmt.Errorf("--limit %d: it takes a number of transactions, 0 for all", w.Transactions)
	}
	if w.Transactions == 0 {
		w.Transactions = math.MaxInt64
	}
	return w, nil
}

// retentionIn is the pair's, by the agent's configuration; the default where that cannot be read,
// since the entries can be shown all the same.
func retentionIn(configDir string) volume.Retention {
	var config agentapi.Config
	text, err := os.ReadFile(filepath.Join(configDir, agentapi.ConfigFile))
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		return volume.RetentionOf(agentapi.Config{})
	}
	return volume.RetentionOf(config)
}
