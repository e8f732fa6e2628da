package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// image is what the container's image has of MySQL. Its mysqld is asked what it is, and whether
// it takes an option file and the data.
type image struct {
	mysqld  string // the program
	running *instance
	state   *board
}

// errCut: the agent gave up waiting, because it ends or has something else to do. That says
// nothing about the image or the settings.
var errCut = errors.New("given up before mysqld answered")

// ask runs mysqld for what it says of itself or of its settings. An error is errCut
// if ctx ended first.
func (i *image) ask(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, i.mysqld, args...)
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := process.Run(cmd)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", errCut, ctx.Err())
	}
	return out.String(), err
}

// check finds out once which mysqld the image has, and refuses one that is too old.
func (i *image) check(ctx context.Context) error {
	if i.running.program() != "" {
		return nil
	}
	out, err := i.ask(ctx, "--no-defaults", "--version")
	if errors.Is(err, errCut) {
		return err
	}
	if err != nil {
		err = fmt.Errorf("the image has no mysqld that runs (%w); set spec.mysql.image to one with mysqld 8.4 or newer on its PATH", err)
		i.state.problem(agentapi.ProblemNoMysqld, err.Error())
		return err
	}
	version, err := supportedVersion(out)
	if err != nil {
		i.state.problem(agentapi.ProblemMysqldTooOld, err.Error())
		return err
	}
	i.state.resolve(agentapi.ProblemNoMysqld)
	i.state.resolve(agentapi.ProblemMysqldTooOld)
	i.running.hasProgram(version)
	return nil
}

var versionPattern = regexp.MustCompile(`Ver (\d+)\.(\d+)\.(\d+)`)

// supportedVersion is the version in what mysqld --version prints; an error for a program that
// is not MySQL 8.4 or newer.
func supportedVersion(out string) (string, error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "MariaDB") {
		return "", fmt.Errorf("the image's mysqld says %q; set spec.mysql.image to one with MySQL 8.4 or newer", strings.TrimSpace(out))
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < 8 || (major == 8 && minor < 4) {
		return "", fmt.Errorf("the image's mysqld is %s.%s.%s; set spec.mysql.image to one with MySQL 8.4 or newer", m[1], m[2], m[3])
	}
	return strings.Join(m[1:], "."), nil
}
