package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
)

// optionFile is the my.cnf that mysqld starts with: what it depends on, and what mysqld said of
// it. The running instance keeps the text that mysqld has accepted.
type optionFile struct {
	opt    Options
	env    Environment
	log    logr.Logger
	config func() agentapi.Config
	vol    *volume.Volume
	mysqld *instance
	state  *board
	ask    func(ctx context.Context, args ...string) (string, error) // runs mysqld
}

// globalsReader reads variables of the running mysqld.
type globalsReader interface {
	Globals(ctx context.Context, names []string) (map[string]string, error)
}

// member is what the option file depends on.
func (f *optionFile) member(dataDir string) mycnf.Member {
	config := f.config()
	return mycnf.Member{
		Ordinal:         int(f.env.Ordinal),
		PodIP:           f.env.PodIP,
		BindAddress:     f.opt.BindAddress,
		Host:            config.Host(f.env.PodName),
		Port:            f.opt.MySQLPort,
		AdminPort:       f.opt.AdminPort,
		DataDir:         dataDir,
		BinlogDir:       f.vol.SeparateBinlogDir(),
		Socket:          f.opt.socket(),
		PIDFile:         f.opt.pidFile(),
		TLSDir:          f.opt.TLSDir,
		TempDir:         f.vol.TempDir(),
		BinlogRetention: config.BinlogRetention,
		MemoryBytes:     memoryLimit(),
		Settings:        config.MySQL,
		Plugins:         config.Plugins,
	}
}

// own is member for the data that this member serves.
func (f *optionFile) own() mycnf.Member { return f.member(f.vol.DataDir()) }

// write renders the option file and has mysqld check it. Complaints are the
// settings that mysqld would start with, but not as they are given.
func (f *optionFile) write(ctx context.Context, dataDir string) (complaints []string, err error) {
	member := f.member(dataDir)
	text, err := mycnf.Render(member)
	if err != nil {
		return nil, fmt.Errorf("spec.mysql.config: %w", err)
	}
	if err := volume.WriteFile(f.opt.optionFile(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	f.mysqld.hasRendered(member.Settings)
	if accepted, complaints := f.mysqld.accepted(); accepted == text {
		return complaints, nil
	}
	out, err := f.ask(ctx, mycnf.ValidateFlags(f.opt.optionFile())...)
	if errors.Is(err, errCut) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("mysqld refuses its settings, fix spec.mysql.config: %s", errorLines(out, err))
	}
	complaints = mycnf.Complaints(out, member.Settings)
	f.mysqld.hasAccepted(text, complaints)
	return complaints, nil
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

// publish names what mysqld made of the user's settings. A member that has data
// runs all the same: its settings may have been good enough for years.
func (f *optionFile) publish(complaints []string) {
	if len(complaints) == 0 {
		f.state.resolve(agentapi.ProblemSettingChanged)
		return
	}
	f.state.problem(agentapi.ProblemSettingChanged, settingsMessage(complaints))
}

// readBack compares what mysqld runs with to what the user asked for: some
// values are changed only when mysqld sees the machine it runs on.
func (f *optionFile) readBack(ctx context.Context, running globalsReader) {
	settings := f.own().Settings
	values, err := running.Globals(ctx, mycnf.Variables(settings))
	if err != nil {
		f.log.Error(err, "cannot read the user's settings back")
		return
	}
	if _, complaints := f.mysqld.accepted(); len(complaints) == 0 {
		f.publish(mycnf.Taken(settings, values))
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
