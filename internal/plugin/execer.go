package plugin

import (
	"bytes"
	"context"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubectl/pkg/util/term"
	"k8s.io/streaming/pkg/httpstream"
)

// container is the container of a member's pod in which agent and mysqld run.
const container = "mysqld"

// podCommand is a command that runs in the mysqld container of a pod.
type podCommand struct {
	namespace, pod string
	argv           []string
	// interactive: standard input is passed on, and the caller's terminal, when it has
	// one, becomes the command's.
	interactive bool
}

// execer runs commands in members' pods.
type execer interface {
	run(ctx context.Context, c podCommand, streams genericiooptions.IOStreams) error
}

// remote is the execer of a real cluster.
type remote struct{ config *rest.Config }

// run blocks until the command or ctx ends.
func (r remote) run(ctx context.Context, c podCommand, streams genericiooptions.IOStreams) error {
	core, err := typedv1.NewForConfig(r.config)
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	if err := mustRun(ctx, core, c); err != nil {
		return err
	}
	tty := term.TTY{
		In:  streams.In,
		Out: streams.Out,
		Raw: c.interactive && isTerminal(streams.In) && isTerminal(streams.Out),
	}
	options := remotecommand.StreamOptions{
		Stdout: streams.Out,
		Stderr: streams.ErrOut,
		Tty:    tty.Raw,
	}
	if c.interactive {
		options.Stdin = streams.In
	}
	if tty.Raw {
		// A terminal has one stream for both.
		options.Stderr = nil
		options.TerminalSizeQueue = sizes{tty.MonitorSize(tty.GetSize())}
	}
	target := core.RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(c.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container,
			Command:   c.argv,
			Stdin:     c.interactive,
			Stdout:    true,
			Stderr:    !tty.Raw,
			TTY:       tty.Raw,
		}, scheme.ParameterCodec).URL()
	executor, err := newExecutor(r.config, target)
	if err != nil {
		return fmt.Errorf("run a command in pod %s: %w", c.pod, err)
	}
	return tty.Safe(func() error { return executor.StreamWithContext(ctx, options) })
}

// mustRun turns the usual reasons for a failing exec into plain words.
func mustRun(ctx context.Context, core typedv1.PodsGetter, c podCommand) error {
	pod, err := core.Pods(c.namespace).Get(ctx, c.pod, metav1.GetOptions{})
	if errors.IsNotFound(err) {
		return fmt.Errorf("pod %s does not exist", c.pod)
	}
	if err != nil {
		return fmt.Errorf("read pod %s: %w", c.pod, err)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container && s.State.Running != nil {
			return nil
		}
	}
	return fmt.Errorf("the container %s of pod %s is not running", container, c.pod)
}

// newExecutor speaks WebSocket, and SPDY with API servers and proxies that do not.
func newExecutor(config *rest.Config, target *url.URL) (remotecommand.Executor, error) {
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", target)
	if err != nil {
		return nil, err
	}
	websocket, err := remotecommand.NewWebSocketExecutor(config, "GET", target.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// output runs a command and returns what it prints.
func output(ctx context.Context, e execer, c podCommand) ([]byte, error) {
	var out, errOut bytes.Buffer
	err := e.run(ctx, c, genericiooptions.IOStreams{
		In:     &bytes.Buffer{},
		Out:    &out,
		ErrOut: &errOut,
	})
	if err != nil {
		if said := bytes.TrimSpace(errOut.Bytes()); len(said) > 0 {
			return nil, fmt.Errorf("%w: %s", err, said)
		}
		return nil, err
	}
	return out.Bytes(), nil
}
