//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestPacketRule: in a namespace that admits it, the kernel refuses new clients at the passive and lets them pass at the primary,
// while the members replicate, through a change of roles and the end of the rule's container. Without it the pod is as before.
func TestPacketRule(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "packetrule")
	_, err := cluster.Shell(s.ctx, "kubectl label namespace "+s.namespace+" --overwrite pod-security.kubernetes.io/enforce=privileged")
	s.must(err)
	p := s.readyPair("shop", "services: {primary: {rejectNewClients: PacketReset}, passive: {enabled: false}}")
	primary := s.primary(p)
	passive := p.Peer(primary)
	s.must(refusedAtThePassiveAlone(s.ctx, p, primary, passive))

	out, err := cluster.Plugin(s.ctx, s.namespace, "switchover", p.Name, "--to", passive, "--old-primary", "Demote", "--wait")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.must(p.AwaitReady(s.ctx))
	s.must(refusedAtThePassiveAlone(s.ctx, p, passive, primary))

	_, err = p.Exec(s.ctx, s.namespace, primary, resources.ContainerPacketRule, "/agent", "version")
	s.must(err)
	s.must(p.PatchSpec(s.ctx, "services: {primary: {rejectNewClients: None}}"))
	s.must(harness.Eventually(s.ctx, harness.Patience, "pods without the rule", func(ctx context.Context) error {
		for _, member := range p.Members() {
			if err := withoutPacketRule(ctx, p, member); err != nil {
				return err
			}
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
}

// withoutPacketRule: no container of a member's pod is the rule's or has a capability.
func withoutPacketRule(ctx context.Context, p *harness.Pair, member string) error {
	pod, err := p.Pod(ctx, member)
	if err != nil {
		return harness.NotYet("%v", err) // it is made again
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == resources.ContainerPacketRule || len(c.SecurityContext.Capabilities.Add) > 0 {
			return harness.NotYet("%s has the container %s, with %v", member, c.Name, c.SecurityContext.Capabilities.Add)
		}
	}
	return nil
}

// refusedAtThePassiveAlone: a client in one member's pod is reset at the port of the other while that is the passive, and meets
// mysqld while it is the primary.
func refusedAtThePassiveAlone(ctx context.Context, p *harness.Pair, primary, passive string) error {
	return harness.Eventually(ctx, harness.Patience, "a rule at the passive", func(ctx context.Context) error {
		atPassive, err := connects(ctx, p, primary, passive)
		if err != nil {
			return err
		}
		atPrimary, err := connects(ctx, p, passive, primary)
		if err != nil {
			return err
		}
		// The number is that of ECONNREFUSED, the words those of mysqld.
		if !strings.Contains(atPassive, "(111)") {
			return harness.NotYet("the passive answers %q", atPassive)
		}
		if !strings.Contains(atPrimary, "Access denied") {
			return harness.NotYet("the primary answers %q", atPrimary)
		}
		return nil
	})
}

// connects is what a client in a member's pod prints that has no account and connects to the other member's pod.
func connects(ctx context.Context, p *harness.Pair, from, to string) (string, error) {
	var pod *corev1.Pod
	pod, err := p.Pod(ctx, to)
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf("mysql --no-defaults --connect-timeout=10 -unobody -h%s -P3306 -e 'SELECT 1' 2>&1 || true", pod.Status.PodIP)
	return p.Exec(ctx, p.Namespace, from, resources.ContainerMysqld, "sh", "-c", script)
}
