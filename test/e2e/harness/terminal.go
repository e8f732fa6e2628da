package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
)

// Terminal is the shell of a reader who types what the documentation says: kubectl works in one namespace, and helm and the
// plugin are programs of its PATH.
type Terminal struct {
	// Folder is where a script begins. It has the repository's folders charts and config.
	Folder string
	// Repository is the root of the work tree, whose bin/ is in PATH as in what the documentation says.
	Repository string
	variables  []string
}

// Terminal opens one, with its files in a folder of the caller's.
func (c *Cluster) Terminal(folder, namespace string) (*Terminal, error) {
	chart, err := chartDir()
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	t := &Terminal{
		Folder:     filepath.Join(folder, "work"),
		Repository: filepath.Dir(filepath.Dir(chart)),
	}
	programs := filepath.Join(folder, "programs")
	if err := t.link(programs); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	path := programs + ":" + filepath.Join(t.Repository, "bin") + ":" + os.Getenv("PATH")
	t.variables = []string{"KUBECONFIG=" + kubeconfig, "PATH=" + path}
	return t, nil
}

// link makes the terminal's folders, and links what they have of the repository and of this machine.
func (t *Terminal) link(programs string) error {
	for _, folder := range []string{t.Folder, programs} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"charts", "config"} {
		if err := os.Symlink(filepath.Join(t.Repository, name), filepath.Join(t.Folder, name)); err != nil {
			return err
		}
	}
	if !filepath.IsAbs(helm()) {
		return nil
	}
	return os.Symlink(helm(), filepath.Join(programs, "helm"))
}

// Type runs a script in a folder until its first command that fails, and returns what it prints.
func (t *Terminal) Type(ctx context.Context, folder, script string) (string, error) {
	args := append([]string{"--chdir=" + folder}, t.variables...)
	return command(ctx, "env", append(args, "bash", "-euo", "pipefail", "-c", script)...)
}
