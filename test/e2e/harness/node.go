package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Node is a kind node: a container of this machine's docker engine. DOCKER_HOST names
// the engine where it is not the default one.
type Node struct {
	*Cluster
	Name string
}

// Node of that name.
func (c *Cluster) Node(name string) *Node { return &Node{Cluster: c, Name: name} }

func docker(ctx context.Context, args ...string) (string, error) {
	return command(ctx, "docker", args...)
}

// network is the docker network that kind put its nodes into; the control plane never
// leaves it.
func (c *Cluster) network(ctx context.Context) (string, error) {
	control, err := c.ControlPlane(ctx)
	if err != nil {
		return "", err
	}
	out, err := docker(ctx, "inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", control.Name)
	if err != nil {
		return "", err
	}
	names := strings.Fields(out)
	if len(names) != 1 {
		return "", fmt.Errorf("node %s is in the networks %v, want one", control.Name, names)
	}
	return names[0], nil
}

// Kill ends all processes of the node at once.
func (n *Node) Kill(ctx context.Context) error {
	_, err := docker(ctx, "kill", n.Name)
	return err
}

// Start boots a killed node.
func (n *Node) Start(ctx context.Context) error {
	_, err := docker(ctx, "start", n.Name)
	return err
}

// Pause freezes the node; its kernel goes on accepting connections.
func (n *Node) Pause(ctx context.Context) error {
	_, err := docker(ctx, "pause", n.Name)
	return err
}

// Unpause thaws it.
func (n *Node) Unpause(ctx context.Context) error {
	_, err := docker(ctx, "unpause", n.Name)
	return err
}

// Disconnect cuts the node off the network: what runs on it goes on and nobody hears it.
func (n *Node) Disconnect(ctx context.Context) error {
	network, err := n.network(ctx)
	if err != nil {
		return err
	}
	_, err = docker(ctx, "network", "disconnect", network, n.Name)
	return err
}

// Reconnect gives it its network and its former address back.
func (n *Node) Reconnect(ctx context.Context) error {
	network, err := n.network(ctx)
	if err != nil {
		return err
	}
	args := []string{"network", "connect"}
	if ip, err := n.internalIP(ctx); err == nil {
		args = append(args, "--ip", ip)
	}
	_, err = docker(ctx, append(args, network, n.Name)...)
	return err
}

// Run executes a command on the node.
func (n *Node) Run(ctx context.Context, args ...string) (string, error) {
	return docker(ctx, append([]string{"exec", n.Name}, args...)...)
}

func (n *Node) object(ctx context.Context) (*corev1.Node, error) {
	var node corev1.Node
	err := n.Get(ctx, types.NamespacedName{Name: n.Name}, &node)
	return &node, err
}

func (n *Node) internalIP(ctx context.Context) (string, error) {
	node, err := n.object(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address, nil
		}
	}
	return "", fmt.Errorf("node %s has no address", n.Name)
}

// Addresses are the node's own address and the block of its pods.
func (n *Node) Addresses(ctx context.Context) ([]string, error) {
	node, err := n.object(ctx)
	if err != nil {
		return nil, err
	}
	ip, err := n.internalIP(ctx)
	if err != nil {
		return nil, err
	}
	return []string{ip, node.Spec.PodCIDR}, nil
}

// AwaitReady waits until the node is Ready.
func (n *Node) AwaitReady(ctx context.Context) error {
	return Eventually(ctx, Patience, "node "+n.Name, func(ctx context.Context) error {
		node, err := n.object(ctx)
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return NotYet("not Ready")
	})
}

// ControlPlane is the node that runs the API server.
func (c *Cluster) ControlPlane(ctx context.Context) (*Node, error) {
	var list corev1.NodeList
	if err := c.List(ctx, &list, client.HasLabels{"node-role.kubernetes.io/control-plane"}); err != nil || len(list.Items) != 1 {
		return nil, fmt.Errorf("find control plane: %d nodes, %w", len(list.Items), err)
	}
	return c.Node(list.Items[0].Name), nil
}

// Workers are the names of the other nodes.
func (c *Cluster) Workers(ctx context.Context) ([]string, error) {
	var list corev1.NodeList
	if err := c.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var names []string
	for _, n := range list.Items {
		if _, control := n.Labels["node-role.kubernetes.io/control-plane"]; !control {
			names = append(names, n.Name)
		}
	}
	return names, nil
}

// StopAPI takes the API server away, and StartAPI brings it back: the kubelet watches
// the manifest's folder. The server is gone when it no longer answers.
func (n *Node) StopAPI(ctx context.Context) error {
	if _, err := n.Run(ctx, "mv", "/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/"); err != nil {
		return err
	}
	// The kubelet looks every 20 s only; the process need not wait for that.
	return Eventually(ctx, Patience, "end of the API server", func(ctx context.Context) error {
		_, _ = n.Run(ctx, "pkill", "-KILL", "-f", "^kube-apiserver")
		each, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := n.Clientset.Discovery().RESTClient().Get().AbsPath("/livez").DoRaw(each); err == nil {
			return NotYet("it still answers")
		}
		out, err := n.Run(ctx, "sh", "-c", "pgrep -f '^kube-apiserver' || true")
		if err != nil || out != "" {
			return NotYet("process %s, %v", out, err)
		}
		return nil
	})
}

// StartAPI puts the manifest back and waits until the server answers.
func (n *Node) StartAPI(ctx context.Context) error {
	if _, err := n.Run(ctx, "sh", "-c", "[ ! -e /etc/kubernetes/kube-apiserver.yaml ] || mv /etc/kubernetes/kube-apiserver.yaml /etc/kubernetes/manifests/"); err != nil {
		return err
	}
	return Eventually(ctx, Patience, "the API server", func(ctx context.Context) error {
		_, err := n.Clientset.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// Cut is a set of packet rules: on this machine, through which all traffic between nodes
// passes, or on a node, where that of its own pods begins.
type Cut struct {
	rules []packetRule
}

type packetRule struct {
	node *Node // nil for this machine
	rule []string
}

func (r packetRule) run(ctx context.Context, verb string) error {
	args := append([]string{"iptables", "-w", verb}, r.rule...)
	if r.node != nil {
		_, err := r.node.Run(ctx, args...)
		return err
	}
	_, err := command(ctx, args[0], args[1:]...)
	return err
}

func (c *Cut) add(ctx context.Context, r packetRule) error {
	if err := r.run(ctx, "-I"); err != nil {
		return errors.Join(err, c.Heal(context.WithoutCancel(ctx)))
	}
	c.rules = append(c.rules, r)
	return nil
}

// OnNode drops, on a node, what its pods with the source addresses send to the targets.
func (c *Cut) OnNode(ctx context.Context, node *Node, sources, targets []string) error {
	for _, from := range sources {
		for _, to := range targets {
			if err := c.add(ctx, packetRule{node, []string{"FORWARD", "-s", from, "-d", to, "-j", "DROP"}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// CutTraffic drops what goes from any of the sources to any of the targets, and with
// bothWays what comes back as well. Addresses are IPs or blocks. An extra match such as
// "-p tcp --dport 6443" narrows it; it applies to the way there only.
func CutTraffic(ctx context.Context, sources, targets []string, bothWays bool, match ...string) (*Cut, error) {
	cut := &Cut{}
	chain := packetChain(ctx)
	for _, from := range sources {
		for _, to := range targets {
			rules := [][]string{append([]string{"-s", from, "-d", to}, match...)}
			if bothWays {
				rules = append(rules, []string{"-s", to, "-d", from})
			}
			for _, rule := range rules {
				rule = append(append([]string{chain}, rule...), "-j", "DROP")
				if err := cut.add(ctx, packetRule{rule: rule}); err != nil {
					return nil, err
				}
			}
		}
	}
	return cut, nil
}

// packetChain is the chain that all bridged traffic passes first: docker's own hook, or
// FORWARD where the engine keeps its hands off packet rules.
func packetChain(ctx context.Context) string {
	if _, err := command(ctx, "iptables", "-w", "-n", "-L", "DOCKER-USER"); err != nil {
		return "FORWARD"
	}
	return "DOCKER-USER"
}

// Heal takes the rules away. It is idempotent.
func (c *Cut) Heal(ctx context.Context) error {
	var errs []error
	for _, rule := range c.rules {
		errs = append(errs, rule.run(ctx, "-D"))
	}
	c.rules = nil
	return errors.Join(errs...)
}

// logDir is the folder of this machine that holds the node's container logs.
func (n *Node) logDir(ctx context.Context) (string, error) {
	out, err := docker(ctx, "inspect", "-f", `{{range .Mounts}}{{if eq .Destination "/var"}}{{.Source}}{{end}}{{end}}`, n.Name)
	if err != nil {
		return "", err
	}
	if out == "" {
		return "", fmt.Errorf("node %s has no volume at /var", n.Name)
	}
	return strings.TrimSpace(out) + "/log/pods", nil
}

// VolumePath is the folder of a member's volume as this machine can open it, through the main
// process of its node.
func (p *Pair) VolumePath(ctx context.Context, member string) (string, error) {
	pod, err := p.Pod(ctx, member)
	if err != nil {
		return "", err
	}
	var claim corev1.PersistentVolumeClaim
	if err := p.Get(ctx, p.key("data-"+member), &claim); err != nil {
		return "", fmt.Errorf("volume of %s: %w", member, err)
	}
	var volume corev1.PersistentVolume
	if err := p.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, &volume); err != nil {
		return "", fmt.Errorf("volume of %s: %w", member, err)
	}
	path := ""
	switch {
	case volume.Spec.Local != nil:
		path = volume.Spec.Local.Path
	case volume.Spec.HostPath != nil:
		path = volume.Spec.HostPath.Path
	default:
		return "", fmt.Errorf("volume %s of %s is no folder of a node", volume.Name, member)
	}
	pid, err := docker(ctx, "inspect", "-f", "{{.State.Pid}}", pod.Spec.NodeName)
	if err != nil {
		return "", err
	}
	return filepath.Join("/proc", strings.TrimSpace(pid), "root", path), nil
}
