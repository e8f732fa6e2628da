package harness

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// Programs is a pod with client programs in several languages, which find the pair by what its Secret
// hands out.
type Programs struct{ clients Clients }

// StartPrograms makes the pod and waits until it answers.
func (p *Pair) StartPrograms(ctx context.Context) (*Programs, error) {
	c := &Programs{clients: Clients{pair: p, pod: p.Name + "-programs"}}
	pod := p.clientPod(c.clients.pod)
	container := &pod.Spec.Containers[0]
	container.Image = ProgramsImage()
	container.Command = []string{"/driver"}
	container.Env = nil
	container.VolumeMounts[0].MountPath = resources.AppDir
	// Java writes what it compiles.
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	if err := p.Create(ctx, pod); err != nil {
		return nil, fmt.Errorf("start programs: %w", err)
	}
	err := Eventually(ctx, Patience, "programs of "+p.Name, func(ctx context.Context) error {
		return c.clients.call(ctx, "GET", "healthz", nil, nil)
	})
	return c, err
}

// Start begins a number of workers of each program, each pausing between two transactions.
func (c *Programs) Start(ctx context.Context, workers int, pause time.Duration) error {
	return Eventually(ctx, Patience, "workers of "+c.clients.pair.Name, func(ctx context.Context) error {
		return c.clients.call(ctx, "POST", "start", map[string]string{"workers": strconv.Itoa(workers), "pause": pause.String()}, nil)
	})
}

// Tries are what the programs tried since the last call.
func (c *Programs) Tries(ctx context.Context) ([]history.Try, error) {
	var tries []history.Try
	err := c.clients.call(ctx, "GET", "tries", nil, &tries)
	return tries, err
}

// Stop ends all workers. It blocks for half a minute when one of them hangs.
func (c *Programs) Stop(ctx context.Context) ([]history.Try, error) {
	var tries []history.Try
	err := c.clients.call(ctx, "POST", "stop", nil, &tries)
	return tries, err
}
