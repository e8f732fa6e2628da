package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// validateTimeout bounds a mysqld that only reads its settings.
const validateTimeout = 30 * time.Second

// trials has a mysqld of this image judge settings before a member runs with them, one request
// at a time.
type trials struct {
	env    Environment
	dir    string // of the trial's own files
	member func(dataDir string) mycnf.Member
	ask    func(ctx context.Context, args ...string) (string, error) // runs mysqld
	server zoneServer
	isUp   func() bool

	mu     sync.Mutex
	trying bool
}

// zoneServer is the mysqld that runs, which knows the names of time zones.
type zoneServer interface {
	CheckTimeZone(ctx context.Context, zone string) error
}

// validateConfig says whether the mysqld of this image would take settings. A mysqld of its
// own is asked, with nothing of the member's that runs: other paths, and a data directory that
// is empty. What such a mysqld does not look at is asked of the one that runs, if one does.
func (t *trials) validate(ctx context.Context, r agentapi.ValidateConfigRequest) (agentapi.ValidateConfigReply, error) {
	var reply agentapi.ValidateConfigReply
	if r.PairUID != t.env.PairUID {
		return reply, refuse(agentapi.ErrorWrongPair, "this agent serves pair %s with UID %s", t.env.PairName, t.env.PairUID)
	}
	if !t.begin() {
		return reply, refuse(agentapi.ErrorRefused, "settings are being validated already")
	}
	defer t.end()
	ctx, cancel := context.WithTimeout(ctx, validateTimeout)
	defer cancel()
	problems, err := t.tryFile(ctx, r)
	if err != nil {
		return reply, err
	}
	reply.Problems = append(problems, t.tryTimeZone(ctx, r.Settings)...)
	return reply, nil
}

func (t *trials) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trying {
		return false
	}
	t.trying = true
	return true
}

func (t *trials) end() {
	t.mu.Lock()
	t.trying = false
	t.mu.Unlock()
}

// tryFile has mysqld read an option file with the settings. An error says that it could not
// be tried.
func (t *trials) tryFile(ctx context.Context, r agentapi.ValidateConfigRequest) ([]agentapi.SettingProblem, error) {
	settings := r.Settings
	dir := t.dir
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("validate settings: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	member := t.member(filepath.Join(dir, "data"))
	member.Socket = filepath.Join(dir, "mysqld.sock")
	member.PIDFile = filepath.Join(dir, "mysqld.pid")
	member.BinlogDir = "" // those of the member's data are in use
	member.Settings = settings
	member.Plugins = r.Plugins
	text, err := mycnf.Render(member)
	if err != nil {
		return problemsOf(err.Error(), settings), nil
	}
	if err := os.MkdirAll(member.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("validate settings: %w", err)
	}
	file := filepath.Join(dir, "my.cnf")
	if err := volume.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("validate settings: %w", err)
	}
	out, err := t.ask(ctx, mycnf.TrialFlags(file)...)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Exited():
		return problemsOf(errorLines(out, err), settings), nil
	default: // killed, for memory perhaps, or not started: that says nothing about the settings
		return nil, fmt.Errorf("validate settings: mysqld --validate-config: %w", err)
	}
	var problems []agentapi.SettingProblem
	for _, complaint := range mycnf.Complaints(out, settings) {
		option, message, _ := strings.Cut(complaint, ": ")
		problems = append(problems, agentapi.SettingProblem{Option: option, Message: message})
	}
	for _, plugin := range mycnf.NotLoaded(out, r.Plugins) {
		problems = append(problems, agentapi.SettingProblem{
			Option:  plugin,
			Field:   fieldPlugins,
			Message: "mysqld of this image does not load it: " + errorLines(out, errors.New("its log says why")),
		})
	}
	lacking, err := t.tryComponents(ctx, file, r.Components)
	return append(problems, lacking...), err
}

// tryComponents looks for the files of components where the mysqld of this image would.
func (t *trials) tryComponents(ctx context.Context, file string, components []string) ([]agentapi.SettingProblem, error) {
	if len(components) == 0 {
		return nil, nil
	}
	help, err := t.ask(ctx, mycnf.HelpFlags(file)...)
	if err != nil {
		return nil, fmt.Errorf("validate settings: mysqld --verbose --help: %w", err)
	}
	dir := mycnf.PluginDir(help)
	if dir == "" {
		return nil, nil
	}
	lacking, err := lackingComponents(dir, components)
	if err != nil {
		return nil, err
	}
	var problems []agentapi.SettingProblem
	for _, name := range lacking {
		problems = append(problems, agentapi.SettingProblem{
			Option:  name,
			Field:   fieldComponents,
			Message: fmt.Sprintf("the image has no %s.so in %s: correct the name, or take an image that has it", name, dir),
		})
	}
	return problems, nil
}

// problemsOf is one problem for each setting that a message names, or one for all of them.
func problemsOf(message string, settings map[string]string) []agentapi.SettingProblem {
	options := mycnf.Mentioned(message, settings)
	if len(options) == 0 {
		return []agentapi.SettingProblem{{Message: message}}
	}
	var problems []agentapi.SettingProblem
	for _, option := range options {
		problems = append(problems, agentapi.SettingProblem{
			Option:  option,
			Message: fmt.Sprintf("%q: %s", settings[option], message),
		})
	}
	return problems
}

// tryTimeZone asks the mysqld that runs: the names of zones are in its tables. Without one
// it is not tried.
func (t *trials) tryTimeZone(ctx context.Context, settings map[string]string) []agentapi.SettingProblem {
	zone := mycnf.TimeZone(settings)
	if zone == "" || !t.isUp() {
		return nil
	}
	err := t.server.CheckTimeZone(ctx, zone)
	if !errors.Is(err, mysqlops.ErrTimeZone) {
		return nil
	}
	return []agentapi.SettingProblem{{
		Option: "default_time_zone",
		Message: fmt.Sprintf("%q: mysqld knows no time zone of this name: "+
			"correct it, write an offset such as +01:00, or load the tables of time zones on the primary",
			zone),
	}}
}
