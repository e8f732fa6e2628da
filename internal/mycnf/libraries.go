package mycnf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrLibrary: a component or a plugin that a user cannot have loaded.
var ErrLibrary = errors.New("library cannot be loaded by the user")

// ownedLibraries are the libraries of plugins that every member loads.
var ownedLibraries = []string{"semisync_source.so", "semisync_replica.so", "mysql_clone.so"}

// OwnedLibraries are the libraries of plugins that every member loads, whatever a user wants.
func OwnedLibraries() []string { return slices.Clone(ownedLibraries) }

// ComponentName is the name of a component that is given by name or by URN.
func ComponentName(text string) string { return strings.TrimPrefix(text, "file://") }

var (
	componentPattern = regexp.MustCompile(`^[A-Za-z0-9_]{1,100}$`)
	libraryPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,97}\.so$`)
)

// refusedLibraries cannot be loaded by a user: the beginning of the name, and why.
var refusedLibraries = []struct{ prefix, why string }{
	{"component_keyring", "both members have to read each other's files"},
	{"component_group_replication", "the pair replicates without group replication"},
	{"semisync_", "the operator loads it"},
	{"rpl_semi_sync", "the operator loads it"},
	{"mysql_clone", "the operator loads it"},
	{"group_replication", "the pair replicates without group replication"},
	{"keyring_", "both members have to read each other's files"},
	{"ha_", "rows of other engines are not rolled back, replicated or rewound"},
	{"component_", "it is a component: name it in spec.mysql.components, without .so"},
}

// CheckLibraries says what is wrong with the components and plugins of a user, all of it. The
// components are names, without file://.
func CheckLibraries(components, plugins []string) error {
	var problems []error
	for _, name := range components {
		switch why := refusedLibrary(name); {
		case !componentPattern.MatchString(name):
			problems = append(problems, fmt.Errorf("spec.mysql.components: %w: %q: want a name such as component_validate_password",
				ErrLibrary, clip(name)))
		case why != "" && !strings.HasPrefix(why, "it is a component"):
			problems = append(problems, fmt.Errorf("spec.mysql.components: %w: %q, since %s: remove it", ErrLibrary, name, why))
		}
	}
	for _, file := range plugins {
		switch why := refusedLibrary(file); {
		case !libraryPattern.MatchString(file):
			problems = append(problems, fmt.Errorf("spec.mysql.plugins: %w: %q: want a file of plugin_dir such as auth_socket.so",
				ErrLibrary, clip(file)))
		case why != "":
			problems = append(problems, fmt.Errorf("spec.mysql.plugins: %w: %q, since %s: remove it", ErrLibrary, file, why))
		}
	}
	return errors.Join(problems...)
}

func refusedLibrary(name string) string {
	for _, one := range refusedLibraries {
		if strings.HasPrefix(name, one.prefix) {
			return one.why
		}
	}
	return ""
}

// notLoaded is what mysqld logs about a library of its options; it starts all the same.
var notLoaded = regexp.MustCompile(`Couldn't load plugin named '[^']*' with soname '([^']+)'`)

// NotLoaded returns those of the plugins that mysqld's log says cannot be loaded.
func NotLoaded(log string, plugins []string) []string {
	var found []string
	for _, m := range notLoaded.FindAllStringSubmatch(log, -1) {
		if slices.Contains(plugins, m[1]) && !slices.Contains(found, m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

var pluginDirLine = regexp.MustCompile(`(?m)^plugin-dir\s+(\S.*?)\s*$`)

// HelpFlags has mysqld print its settings instead of starting.
func HelpFlags(optionFile string) []string {
	return append(Flags(optionFile), "--verbose", "--help")
}

// PluginDir is the plugin_dir in what mysqld prints with HelpFlags; empty when it is not there.
func PluginDir(help string) string {
	m := pluginDirLine.FindStringSubmatch(help)
	if m == nil {
		return ""
	}
	return m[1]
}
