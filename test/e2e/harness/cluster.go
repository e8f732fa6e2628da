package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// OperatorNamespace is where the chart is installed.
const OperatorNamespace = "dbpair-system"

// Cluster is a handle on the cluster under test. It is safe for concurrent use.
type Cluster struct {
	client.WithWatch
	Clientset *kubernetes.Clientset
	Config    *rest.Config
}

// Connect takes the cluster that KUBECONFIG names. It does not fall back to any default
// file, so that no test ever meets someone's real cluster by accident.
func Connect() (*Cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return nil, errors.New("connect: KUBECONFIG is not set; make e2e sets it to the project's own kind cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	config.QPS = 100
	config.Burst = 200
	return connect(config)
}

func connect(config *rest.Config) (*Cluster, error) {
	ctrllog.SetLogger(logr.Discard()) // else it complains, with a stack, that nobody did
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Cluster{
		WithWatch: c,
		Clientset: clientset,
		Config:    config,
	}, nil
}

// As is the same cluster seen by another user.
func (c *Cluster) As(user string, groups ...string) (*Cluster, error) {
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return connect(config)
}

// Exec runs a command in a container and returns its standard output. What it wrote to
// standard error is part of the error.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, command ...string) (string, error) {
	var out bytes.Buffer
	err := c.ExecTo(ctx, &out, namespace, pod, container, command...)
	return out.String(), err
}

// ExecTo is Exec with the output written as it comes.
func (c *Cluster) ExecTo(ctx context.Context, out io.Writer, namespace, pod, container string, command ...string) error {
	request := c.Clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container,
			Command:   command,
			Stdout:    true,
			Stderr:    true,
		}, clientgoscheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", request.URL().String())
	if err != nil {
		return fmt.Errorf("exec in %s/%s: %w", namespace, pod, err)
	}
	var stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: out, Stderr: &stderr}); err != nil {
		return fmt.Errorf("exec %q in %s/%s: %w: %s", command, namespace, pod, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// Logs are a container's logs as the kubelet has them.
func (c *Cluster) Logs(ctx context.Context, namespace, pod string, options corev1.PodLogOptions) ([]byte, error) {
	return c.Clientset.CoreV1().Pods(namespace).GetLogs(pod, &options).DoRaw(ctx)
}
