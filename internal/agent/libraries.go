package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const (
	fieldComponents = "spec.mysql.components"
	fieldPlugins    = "spec.mysql.plugins"
)

// libraries are the components and plugins of this member. mysqld loads the plugins of the spec
// by its option file. Components have no option: they are installed after the start, while the
// member is closed. A change of either acts at the next start, so that a rollout brings it to the
// passive first.
type libraries struct {
	log    logr.Logger
	ops    libraryServer
	config func() agentapi.Config
	vol    *volume.Volume
	data   *dataset
	state  *board

	mu    sync.Mutex
	wants wantedLibraries // with which mysqld was started
	loads []string        // why a component could not be installed or removed at this start
}

// libraryServer is what components and plugins need of mysqld.
type libraryServer interface {
	InstallComponents(ctx context.Context, wanted, unwanted []string) (mysqlops.ComponentChanges, error)
	Libraries(ctx context.Context) (mysqlops.Libraries, error)
}

// wantedLibraries are those of the spec.
type wantedLibraries struct{ components, plugins []string }

func wantedBy(c agentapi.Config) wantedLibraries {
	return wantedLibraries{
		components: c.Components,
		plugins:    c.Plugins,
	}
}

// install has a mysqld that was just started know what the spec wants of it, and the functions
// that an application expects of any MySQL. It is tried at each start, so that it also follows an
// upgrade. A member without them runs, and says so.
func (l *libraries) install(ctx context.Context) {
	wants := wantedBy(l.config())
	id := l.data.get()
	done, err := l.ops.InstallComponents(ctx, wants.components, noted(id))
	failures := []string{}
	for _, failure := range append(done.Failures, err) {
		if failure != nil {
			l.log.Error(failure, "cannot install or remove a component")
			failures = append(failures, fieldComponents+": "+failure.Error())
		}
	}
	if len(done.Installed)+len(done.Removed) > 0 {
		l.log.Info("components changed", "installed", done.Installed, "removed", done.Removed)
	}
	l.mu.Lock()
	l.wants = wants
	l.loads = failures
	l.mu.Unlock()
	if err == nil {
		l.note(wants.components, done)
	}
	l.look(ctx)
}

// note keeps which components are there for the spec: those are removed when it no longer has
// them, and others are not.
func (l *libraries) note(wanted []string, done mysqlops.ComponentChanges) {
	id := l.data.get()
	kept := slices.Clone(wanted)
	for _, name := range noted(id) {
		gone := slices.Contains(done.Removed, name)
		if !gone && len(done.Failures) > 0 && !slices.Contains(kept, name) {
			kept = append(kept, name) // tried again at the next start
		}
	}
	if slices.Equal(kept, noted(id)) {
		return
	}
	id.Components = strings.Join(kept, ",")
	if err := l.vol.WriteIdentity(id); err != nil {
		l.log.Error(err, "cannot note which components are installed")
		return
	}
	l.data.set(id)
}

// noted are the components that note has kept.
func noted(id volume.Identity) []string {
	return strings.FieldsFunc(id.Components, func(c rune) bool { return c == ',' })
}

// look publishes what mysqld has loaded, and names what it lacks of what it was started with.
func (l *libraries) look(ctx context.Context) {
	found, err := l.ops.Libraries(ctx)
	if err != nil {
		l.log.V(1).Info("cannot list components and plugins", "reason", err.Error())
		return
	}
	l.state.hasLibraries(agentapi.Libraries{
		Components: found.Components,
		Plugins:    found.Plugins,
	})
	l.mu.Lock()
	problems := slices.Clone(l.loads)
	wants := l.wants
	l.mu.Unlock()
	for _, missing := range wants.missing(found) {
		failed := func(why string) bool { return strings.HasPrefix(why, missing.field+": install "+missing.name+":") }
		if !slices.ContainsFunc(problems, failed) {
			problems = append(problems, missing.String()+"; restart the member's pod")
		}
	}
	if len(problems) == 0 {
		l.state.resolve(agentapi.ProblemLibraryMissing)
		return
	}
	l.state.problem(agentapi.ProblemLibraryMissing, strings.Join(problems, "; "))
}

// missingLibrary is one of the spec that mysqld does not have.
type missingLibrary struct{ field, name string }

func (m missingLibrary) String() string {
	if m.field == fieldPlugins {
		return fmt.Sprintf("%s: mysqld runs without %q: the image has no such file in plugin_dir, or mysqld's log says why it is not loaded",
			m.field, m.name)
	}
	return fmt.Sprintf("%s: %q is not installed", m.field, m.name)
}

func (w wantedLibraries) missing(found mysqlops.Libraries) []missingLibrary {
	var list []missingLibrary
	for _, name := range w.components {
		if !slices.Contains(found.Components, name) {
			list = append(list, missingLibrary{fieldComponents, name})
		}
	}
	for _, file := range w.plugins {
		if !slices.Contains(found.Plugins, file) {
			list = append(list, missingLibrary{fieldPlugins, file})
		}
	}
	return list
}

// installFirst installs components in data that is being made, where a name that is not there
// can still be refused.
func installFirst(ctx context.Context, ops libraryServer, wants wantedLibraries) error {
	done, err := ops.InstallComponents(ctx, wants.components, nil)
	if err != nil {
		return err
	}
	var problems []error
	for _, failure := range done.Failures {
		problems = append(problems, fmt.Errorf("%s: %w; correct the name, or take an image that has it", fieldComponents, failure))
	}
	found, err := ops.Libraries(ctx)
	if err != nil {
		return err
	}
	for _, missing := range wants.missing(found) {
		if missing.field == fieldPlugins {
			problems = append(problems, errors.New(missing.String()))
		}
	}
	if len(problems) > 0 {
		return configError{errors.Join(problems...)}
	}
	return nil
}

// lackingComponents says which components have no file in the plugin_dir of this image.
func lackingComponents(pluginDir string, components []string) ([]string, error) {
	var lacking []string
	for _, name := range components {
		_, err := os.Stat(filepath.Join(pluginDir, name+".so"))
		switch {
		case errors.Is(err, os.ErrNotExist):
			lacking = append(lacking, name)
		case err != nil:
			return nil, fmt.Errorf("look for component %s: %w", name, err)
		}
	}
	return lacking, nil
}

// hasLibraries publishes what mysqld has loaded.
func (b *board) hasLibraries(loaded agentapi.Libraries) {
	b.mu.Lock()
	b.libraries = &loaded
	b.mu.Unlock()
	b.bump()
}
