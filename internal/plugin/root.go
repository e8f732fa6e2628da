package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// cluster is what a subcommand works with: who asks, where, and how to run commands in
// pods.
type cluster struct {
	client    client.Client
	execer    execer
	logs      logReader
	namespace string
}

// session is what all subcommands share.
type session struct {
	streams genericiooptions.IOStreams
	// connect is called once per command, after its flags are read.
	connect func() (cluster, error)
}

// New is the command `kubectl dbpair`.
func New(streams genericiooptions.IOStreams, version string) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	s := &session{streams: streams, connect: func() (cluster, error) { return connect(flags) }}
	root := s.command(version)
	flags.AddFlags(root.PersistentFlags())
	return root
}

func (s *session) command(version string) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-dbpair",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl dbpair"},
		Short:         "Look at replicated MySQL pairs and resolve doubts about them",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.streams.In)
	root.SetOut(s.streams.Out)
	root.SetErr(s.streams.ErrOut)
	root.AddGroup(
		&cobra.Group{ID: "look", Title: "Look at a pair:"},
		&cobra.Group{ID: "roles", Title: "Change roles without loss:"},
		&cobra.Group{ID: "tables", Title: "Compare the members' tables and repair them:"},
		&cobra.Group{ID: "backups", Title: "Back a pair up and restore it:"},
		&cobra.Group{ID: "act", Title: "Resolve a doubt (each says what may be lost and asks for a confirmation):"})
	root.AddCommand(s.statusCommand(), s.mysqlCommand(), s.checksumCommand(), s.repairCommand(), s.rotateCommand(), s.reseedCommand(),
		s.importCommand())
	root.AddCommand(s.switchoverCommand(), s.restartCommand(), s.hibernateCommand(), s.wakeCommand(), s.upgradeAgentCommand())
	root.AddCommand(s.cancelCommand(), s.historyCommand(), s.whyCommand(), s.reportCommand(version))
	root.AddCommand(s.quarantineCommand(), s.divergenceCommand(), s.backupCommand(), s.backupsCommand(), s.restoreCommand())
	root.AddCommand(s.expireCommand(), s.restoreDrillCommand())
	for _, v := range verbs {
		root.AddCommand(s.verbCommand(v))
	}
	return root
}

// connect makes the clients that the flags describe.
func connect(flags *genericclioptions.ConfigFlags) (cluster, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return cluster{}, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return cluster{}, fmt.Errorf("read the namespace: %w", err)
	}
	c, err := newClient(config)
	if err != nil {
		return cluster{}, err
	}
	return cluster{
		client:    c,
		execer:    remote{config: config},
		logs:      remote{config: config},
		namespace: namespace,
	}, nil
}

func newClient(config *rest.Config) (client.Client, error) {
	all, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: all})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return c, nil
}

func newScheme() (*runtime.Scheme, error) {
	all := runtime.NewScheme()
	if err := scheme.AddToScheme(all); err != nil {
		return nil, fmt.Errorf("register the Kubernetes types: %w", err)
	}
	if err := v1alpha1.AddToScheme(all); err != nil {
		return nil, fmt.Errorf("register the dbpair types: %w", err)
	}
	return all, nil
}

// pair reads the named pair; its errors say what to do.
func (c cluster) pair(ctx context.Context, name string) (*v1alpha1.DatabasePair, error) {
	p := &v1alpha1.DatabasePair{}
	err := c.client.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, p)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("no DatabasePair %q in namespace %q: `kubectl get dbp -A` lists all", name, c.namespace)
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("this cluster knows no DatabasePair: the operator is not installed (docs/install.md)")
	case err != nil:
		return nil, fmt.Errorf("read DatabasePair %s/%s: %w", c.namespace, name, err)
	}
	return p, nil
}
