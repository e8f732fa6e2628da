package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// plugin is the kubectl plugin, built once for all tests.
var plugin struct {
	sync.Once
	path string
	err  error
}

// Plugin runs "kubectl dbpair" with these arguments in a namespace and returns what it
// prints.
func (c *Cluster) Plugin(ctx context.Context, namespace string, args ...string) (string, error) {
	path, err := c.PluginPath(ctx)
	if err != nil {
		return "", err
	}
	return command(ctx, path, append([]string{"--namespace", namespace}, args...)...)
}

// PluginPath is where the plugin is, for lines of a shell.
func (c *Cluster) PluginPath(ctx context.Context) (string, error) {
	plugin.Do(func() {
		var dir string
		if dir, plugin.err = os.MkdirTemp("", "kubectl-dbpair"); plugin.err != nil {
			return
		}
		plugin.path = filepath.Join(dir, "kubectl-dbpair")
		_, plugin.err = command(context.WithoutCancel(ctx), "go", "build", "-o", plugin.path, "github.com/dbpair/dbpair/cmd/kubectl-dbpair")
	})
	if plugin.err != nil {
		return "", fmt.Errorf("build the plugin: %w", plugin.err)
	}
	return plugin.path, nil
}

// Script runs a script of the documentation in a shell where kubectl has the plugin, with
// these variables, as in "NAME=value".
func (c *Cluster) Script(ctx context.Context, script string, variables ...string) (string, error) {
	path, err := c.PluginPath(ctx)
	if err != nil {
		return "", err
	}
	args := append([]string{"PATH=" + filepath.Dir(path) + ":" + os.Getenv("PATH")}, variables...)
	return command(ctx, "env", append(args, "sh", "-c", script)...)
}
