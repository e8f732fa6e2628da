package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Forward makes a loopback port of this machine lead to a port of a pod, through the API server and the
// kubelet. It blocks until the port listens. The pod's end ends it; stop does too and is to be called
// once.
func (c *Cluster) Forward(ctx context.Context, namespace, pod string, port int) (address string, stop func(), err error) {
	fail := func(err error) (string, func(), error) {
		return "", nil, fmt.Errorf("forward to port %d of %s/%s: %w", port, namespace, pod, err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return fail(err)
	}
	target := c.Clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	ended := make(chan struct{})
	ready := make(chan struct{})
	ports := []string{fmt.Sprintf("0:%d", port)}
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, ports, ended, ready, io.Discard, io.Discard)
	if err != nil {
		return fail(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- forwarder.ForwardPorts() }()
	stop = func() { close(ended) }
	select {
	case <-ready:
	case err := <-failed:
		return fail(err)
	case <-ctx.Done():
		stop()
		return fail(ctx.Err())
	}
	forwarded, err := forwarder.GetPorts()
	if err != nil {
		stop()
		return fail(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(forwarded[0].Local))), stop, nil
}
