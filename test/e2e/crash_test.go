//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// Environment of the operator's failpoints, which only a build with the tag failpoints
// has: at each point that matches, the operator crashes once, and the folder remembers.
const (
	envFailpoints   = "DBPAIR_FAILPOINTS"
	envFailpointDir = "DBPAIR_FAILPOINT_DIR"
	failpointDir    = "/tmp/failpoints"
	crashedAt       = "crashing at failpoint "
)

// withFailpoints runs an operator that crashes at the points that match, one replica,
// until the test ends.
func (s *scene) withFailpoints(globs string) {
	s.Helper()
	var former *appsv1.Deployment
	s.must(cluster.ChangeOperator(s.ctx, func(d *appsv1.Deployment) {
		former = d.DeepCopy()
		one := int32(1)
		d.Spec.Replicas = &one
		pod := &d.Spec.Template.Spec
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "failpoints", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		c := &pod.Containers[0]
		c.Image = harness.FailpointImage()
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "failpoints", MountPath: failpointDir})
		c.Env = append(c.Env, corev1.EnvVar{Name: envFailpoints, Value: globs}, corev1.EnvVar{Name: envFailpointDir, Value: failpointDir})
	}))
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := cluster.ReplaceOperator(ctx, former.Spec); err != nil {
			s.Error(err)
		}
	})
}

// crashes are the failpoints at which the operator crashed, in order, by its log.
func (s *scene) crashes() []string {
	s.Helper()
	pods, err := cluster.OperatorPods(s.ctx)
	s.must(err)
	var points []string
	for _, pod := range pods {
		log, err := cluster.Logs(s.ctx, harness.OperatorNamespace, pod.Name, corev1.PodLogOptions{})
		s.must(err)
		for line := range strings.Lines(string(log)) {
			if _, point, found := strings.Cut(line, crashedAt); found {
				points = append(points, strings.TrimSpace(point))
			}
		}
	}
	return points
}

// TestOperatorCrashesInBootstrap kills the operator at every step boundary of one and
// the same bootstrap. It must end as if nothing had happened.
func TestOperatorCrashesInBootstrap(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "crashes")
	s.withFailpoints("*")
	p := s.pair("shop")
	s.must(p.AwaitReady(s.ctx))
	points := s.crashes()
	t.Logf("crashed at %d boundaries: %v", len(points), points)
	const fewest = 16 // before and after each of eight steps
	if len(points) < fewest {
		t.Errorf("only %d crashes: the failpoints do not work", len(points))
	}
	for _, member := range p.Members() {
		out := s.sql(p, member, "SELECT COUNT(*) FROM mysql.user WHERE user = 'app'")
		if out != "1" {
			t.Errorf("%s has %s accounts of the application", member, out)
		}
	}
}
