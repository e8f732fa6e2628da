// Command kindnetd is the pod network of the offline node image. On each node it writes the CNI configuration for the
// node's own pod range, keeps a route to the pod range of every other node, and masquerades what leaves the pod network.
// kind's own DaemonSet starts it unchanged (environment HOST_IP and POD_SUBNET). It knows no NetworkPolicy.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	configFile = "/etc/cni/net.d/10-kindnet.conflist"
	chain      = "KIND-MASQ"
	interval   = 5 * time.Second
	timeout    = 10 * time.Second
)

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	configuration, err := rest.InClusterConfig()
	if err != nil {
		log.Fatalf("reading the cluster configuration: %v", err)
	}
	client, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		log.Fatalf("making an API client: %v", err)
	}
	network := &network{
		hostIP:    os.Getenv("HOST_IP"),
		podSubnet: os.Getenv("POD_SUBNET"),
		routes:    map[string]string{},
	}
	for {
		// What is set up stays as it is while the API server is away.
		if err := network.sync(ctx, client); err != nil && ctx.Err() == nil {
			log.Printf("sync: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// network is what one node has set up so far.
type network struct {
	hostIP, podSubnet string
	config            string            // the CNI configuration as written
	routes            map[string]string // pod range -> next hop, of the last round
}

func (n *network) sync(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	failures := []error{n.masquerade()}
	for _, node := range nodes.Items {
		ip := internalIP(&node)
		switch {
		case ip == "" || node.Spec.PodCIDR == "":
		case ip == n.hostIP:
			failures = append(failures, n.writeConfig(node.Spec.PodCIDR))
		default:
			failures = append(failures, n.route(node.Spec.PodCIDR, ip))
		}
	}
	return errors.Join(failures...)
}

func internalIP(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// route is repeated every round: a node that was disconnected from its network and came back has lost its routes.
func (n *network) route(podCIDR, nextHop string) error {
	if n.routes[podCIDR] != nextHop {
		log.Printf("pods %s are behind node %s", podCIDR, nextHop)
		n.routes[podCIDR] = nextHop
	}
	return run("ip", "route", "replace", podCIDR, "via", nextHop)
}

// writeConfig gives the kubelet the node's CNI configuration, complete or not at all.
func (n *network) writeConfig(podCIDR string) error {
	content, err := json.MarshalIndent(map[string]any{
		"cniVersion": "0.4.0",
		"name":       "kindnet",
		"plugins": []map[string]any{
			{
				"type":   "ptp",
				"ipMasq": false,
				"ipam": map[string]any{
					"type":    "host-local",
					"dataDir": "/run/cni-ipam-state",
					"routes":  []map[string]string{{"dst": "0.0.0.0/0"}},
					"ranges":  [][]map[string]string{{{"subnet": podCIDR}}},
				},
			},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	if _, err := os.Stat(configFile); err == nil && n.config == string(content) {
		return nil
	}
	temporary := filepath.Join(filepath.Dir(configFile), ".kindnet.tmp")
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temporary, configFile); err != nil {
		return err
	}
	log.Printf("own pods are in %s", podCIDR)
	n.config = string(content)
	return nil
}

// masquerade hides pod addresses from everything outside the pod network.
func (n *network) masquerade() error {
	nat := func(args ...string) error { return run("iptables", append([]string{"-w", "-t", "nat"}, args...)...) }
	if nat("-n", "-L", chain) != nil {
		if err := nat("-N", chain); err != nil {
			return err
		}
	}
	rules := [][]string{
		{chain, "-d", n.podSubnet, "-j", "RETURN"},
		{chain, "-j", "MASQUERADE"},
		{"POSTROUTING", "-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", chain},
	}
	for _, rule := range rules {
		if nat(append([]string{"-C"}, rule...)...) == nil {
			continue
		}
		if err := nat(append([]string{"-A"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

func run(name string, args ...string) error {
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
