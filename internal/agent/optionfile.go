package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// writeOptions renders the option file and has mysqld check it. Complaints are the
// settings that mysqld would start with, but not as they are given.
func (a *Agent) writeOptions(ctx context.Context, dataDir string) (complaints []string, err error) {
	member := a.member(dataDir)
	text, err := mycnf.Render(member)
	if err != nil {
		return nil, fmt.Errorf("spec.mysql.config: %w", err)
	}
	if err := volume.WriteFile(a.opt.optionFile(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	a.mysqld.mu.Lock()
	checked := a.mysqld.child.checked == text
	complaints = a.mysqld.child.complaints
	a.mysqld.mu.Unlock()
	if checked {
		return complaints, nil
	}
	out, err := a.askMysqld(ctx, mycnf.ValidateFlags(a.opt.optionFile())...)
	if errors.Is(err, errCut) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("mysqld refuses its settings, fix spec.mysql.config: %s", errorLines(out, err))
	}
	complaints = mycnf.Complaints(out, member.Settings)
	a.mysqld.mu.Lock()
	a.mysqld.child.checked = text
	a.mysqld.child.complaints = complaints
	a.mysqld.mu.Unlock()
	return complaints, nil
}

// errCut: the agent gave up waiting, because it ends or has something else to do. That says
// nothing about the image or the settings.
var errCut = errors.New("given up before mysqld answered")

// askMysqld runs mysqld for what it says of itself or of its settings. An error is errCut
// if ctx ended first.
func (a *Agent) askMysqld(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, a.opt.Mysqld, args...)
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := process.Run(cmd)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", errCut, ctx.Err())
	}
	return out.String(), err
}

// configError says that spec.mysql.config has to be corrected before there is data.
type configError struct{ error }

func settingsMessage(complaints []string) string {
	const most = 3
	text := strings.Join(complaints[:min(len(complaints), most)], "; ")
	if more := len(complaints) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return "mysqld does not take a setting as it is given, correct spec.mysql.config: " + text
}

// tellSettings names what mysqld made of the user's settings. A member that has data
// runs all the same: its settings may have been good enough for years.
func (a *Agent) tellSettings(complaints []string) {
	if len(complaints) == 0 {
		a.state.resolve(agentapi.ProblemSettingChanged)
		return
	}
	a.state.problem(agentapi.ProblemSettingChanged, settingsMessage(complaints))
}

// readBackSettings compares what mysqld runs with to what the user asked for: some
// values are changed only when mysqld sees the machine it runs on.
func (a *Agent) readBackSettings(ctx context.Context, ops *mysqlops.Server) {
	settings := a.member(a.vol.DataDir()).Settings
	values, err := ops.Globals(ctx, mycnf.Variables(settings))
	if err != nil {
		a.log.Error(err, "cannot read the user's settings back")
		return
	}
	a.mysqld.mu.Lock()
	complaints := a.mysqld.child.complaints
	a.mysqld.mu.Unlock()
	if len(complaints) == 0 {
		a.tellSettings(mycnf.Taken(settings, values))
	}
}

// installComponents has mysqld know the functions that an application expects of any MySQL.
// It is tried at each start, so that it also follows an upgrade. A member without them runs.
func (a *Agent) installComponents(ctx context.Context) {
	installed, err := a.ops.InstallComponents(ctx)
	if err != nil {
		a.log.Error(err, "cannot install a component: MD5() and SHA1() may be missing on this member")
		return
	}
	if len(installed) > 0 {
		a.log.Info("components installed", "components", installed)
	}
}

// errorLines are the lines of mysqld's log that say what is wrong.
func errorLines(log string, err error) string {
	var found []string
	for line := range strings.SplitSeq(log, "\n") {
		if _, text, ok := strings.Cut(line, "[ERROR] "); ok && len(found) < 3 {
			found = append(found, strings.TrimSpace(text))
		}
	}
	if len(found) == 0 {
		return err.Error()
	}
	return strings.Join(found, "; ")
}
