package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// mysqlClient is the client program. It is looked for where mysqld was found, too.
const mysqlClient = "mysql"

// clientCommand is the client as root over the socket, for the application's database where the dump names none.
func (d *dumpLoads) clientCommand(ctx context.Context) (*exec.Cmd, error) {
	program, err := exec.LookPath(mysqlClient)
	if err != nil {
		mysqld, lookErr := exec.LookPath(d.opt.Mysqld)
		if lookErr != nil {
			return nil, fmt.Errorf("%w: the image has no program %s: %w", errDumpFailed, mysqlClient, err)
		}
		program = filepath.Join(filepath.Dir(mysqld), mysqlClient)
	}
	args := []string{
		"--no-defaults", "--socket=" + d.opt.socket(), "--user=root",
		// In binary mode the client takes no commands of its own from the dump but DELIMITER.
		"--binary-mode", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
	}
	if schema := d.settings.get().AppSchema; schema != "" {
		args = append(args, "--database="+schema)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "MYSQL_PWD="+d.settings.all().Root.Reveal())
	return cmd, nil
}

// valued are the errors whose first quoted text is one of a row, or of a statement with rows in it.
var valued = regexp.MustCompile(`^(ERROR (?:1062|1064|1292|1366|1406|1411|3140|3819) .*?)'(?s:.*)$`)

// clientError is what the client said last, without what may be the contents of a row: conditions
// are read by many.
func clientError(said string, err error) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "ERROR ") {
			text := strings.Join(lines[i:], " ")
			if m := valued.FindStringSubmatch(text); m != nil {
				text = m[1] + "'…'"
			}
			const most = 500
			return strings.ToValidUTF8(text[:min(len(text), most)], "")
		}
	}
	return err.Error()
}
