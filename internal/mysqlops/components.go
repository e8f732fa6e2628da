package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/internal/mycnf"
)

// ComponentClassicHashing has MD5() and SHA1(), which MySQL 9.6 moved out of the server.
const ComponentClassicHashing = "component_classic_hashing"

// defaultComponents are installed on every member whose server has them.
var defaultComponents = []string{ComponentClassicHashing}

// errNoLibrary is MySQL's number for a component whose library is not there, as of a server
// that has its functions built in.
const errNoLibrary = 1126

// ComponentChanges is what InstallComponents did.
type ComponentChanges struct {
	// Installed and Removed are names of components.
	Installed, Removed []string
	// Failures say of each component that could not be installed or removed why.
	Failures []error
}

// InstallComponents installs the default components that this server has and the wanted ones,
// in their order, and removes the unwanted ones. Names are without file://. A component that
// fails does not keep the others. Nothing of that is replicated: each member does it by itself,
// closed, without a trace in its history, and puts super_read_only back. A copy has the donor's
// components. It is idempotent.
func (s *Server) InstallComponents(ctx context.Context, wanted, unwanted []string) (ComponentChanges, error) {
	var done ComponentChanges
	for _, name := range slices.Concat(wanted, unwanted) {
		if err := mycnf.CheckLibraries([]string{name}, nil); err != nil {
			return done, err
		}
	}
	err := s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		present, err := installedComponents(ctx, conn)
		if err != nil {
			return err
		}
		is := func(name string) bool { return slices.Contains(present, name) }
		missing := slices.DeleteFunc(withDefaults(wanted), is)
		var stale []string
		for _, name := range slices.Backward(unwanted) {
			if is(name) && !slices.Contains(wanted, name) && !slices.Contains(defaultComponents, name) {
				stale = append(stale, name)
			}
		}
		if len(missing)+len(stale) == 0 {
			return nil
		}
		return unlogged(ctx, conn, s.cfg.Timeouts.Change, func() error {
			done.remove(ctx, conn, stale)
			done.install(ctx, conn, missing, wanted)
			return ctx.Err()
		})
	})
	return done, wrap("install components", err)
}

// withDefaults are the wanted components after the default ones that are not among them.
func withDefaults(wanted []string) []string {
	var names []string
	for _, name := range defaultComponents {
		if !slices.Contains(wanted, name) {
			names = append(names, name)
		}
	}
	return append(names, wanted...)
}

func (c *ComponentChanges) remove(ctx context.Context, conn *sql.Conn, names []string) {
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "UNINSTALL COMPONENT 'file://"+name+"'"); err != nil {
			c.Failures = append(c.Failures, fmt.Errorf("remove %s: %w", name, err))
			continue
		}
		c.Removed = append(c.Removed, name)
	}
}

// install leaves a default component out that nobody asked for and that the server does not have.
func (c *ComponentChanges) install(ctx context.Context, conn *sql.Conn, names, wanted []string) {
	for _, name := range names {
		_, err := conn.ExecContext(ctx, "INSTALL COMPONENT 'file://"+name+"'")
		switch {
		case err == nil:
			c.Installed = append(c.Installed, name)
		case errorNumber(err) == errNoLibrary && !slices.Contains(wanted, name):
		default:
			c.Failures = append(c.Failures, fmt.Errorf("install %s: %w", name, err))
		}
	}
}

// Err is all failures; nil for none.
func (c ComponentChanges) Err() error { return errors.Join(c.Failures...) }

// installedComponents are the names of the components that are installed.
func installedComponents(ctx context.Context, conn *sql.Conn) ([]string, error) {
	return texts(ctx, conn, "SELECT component_urn FROM mysql.component ORDER BY component_urn", mycnf.ComponentName)
}

// Libraries are what a server has loaded beside what it is made of.
type Libraries struct {
	// Components are names, without file://, and Plugins the libraries of which every plugin is
	// active, without those of mycnf.OwnedLibraries; both sorted.
	Components, Plugins []string
}

// Libraries reads what this server has loaded.
func (s *Server) Libraries(ctx context.Context) (Libraries, error) {
	var found Libraries
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		if found.Components, err = installedComponents(ctx, conn); err != nil {
			return err
		}
		found.Plugins, err = texts(ctx, conn, `SELECT PLUGIN_LIBRARY FROM information_schema.PLUGINS
			WHERE PLUGIN_LIBRARY IS NOT NULL GROUP BY PLUGIN_LIBRARY HAVING SUM(PLUGIN_STATUS <> 'ACTIVE') = 0
			ORDER BY PLUGIN_LIBRARY`, strings.TrimSpace)
		return err
	})
	owned := mycnf.OwnedLibraries()
	found.Plugins = slices.DeleteFunc(found.Plugins, func(file string) bool { return slices.Contains(owned, file) })
	return found, wrap("list components and plugins", err)
}

func texts(ctx context.Context, conn *sql.Conn, query string, as func(string) string) (list []string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	err = eachRow(rows, func() error {
		var one string
		err := rows.Scan(&one)
		list = append(list, as(one))
		return err
	})
	return list, err
}
