package harness

import "context"

// Drain is kubectl drain for the pods that a selector finds; it returns when they are gone.
// Other pods stay, so that a test does not evict what it needs.
func Drain(ctx context.Context, node, selector string) (string, error) {
	return command(ctx, "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector="+selector, "--timeout="+Patience.String())
}

// Uncordon lets pods on a node again.
func Uncordon(ctx context.Context, node string) error {
	_, err := command(ctx, "kubectl", "uncordon", node)
	return err
}
