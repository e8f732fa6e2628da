//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// Environment of the operator's failpoints: at each one named, the operator crashes once
// for each pair, and remembers that in the folder.
const (
	envFailpoints   = "DBPAIR_FAILPOINTS"
	envFailpointDir = "DBPAIR_FAILPOINT_DIR"
	failpointDir    = "/tmp/failpoints"
)

// withFailpoints runs the operator with failpoints, one replica, until the test ends.
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
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "failpoints", MountPath: failpointDir})
		c.Env = append(c.Env, corev1.EnvVar{Name: envFailpoints, Value: globs}, corev1.EnvVar{Name: envFailpointDir, Value: failpointDir})
	}))
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
		defer cancel()
		if err := cluster.ChangeOperator(ctx, func(d *appsv1.Deployment) { d.Spec = former.Spec }); err != nil {
			s.Error(err)
		}
	})
}

// failpoints are the names that the operator itself lists, those with the prefix.
func (s *scene) failpoints(prefix string) []string {
	s.Helper()
	leader, err := cluster.Leader(s.ctx)
	s.must(err)
	out, err := cluster.Exec(s.ctx, harness.OperatorNamespace, leader.Name, "manager", "/manager", "failpoints")
	s.must(err)
	var names []string
	for name := range strings.FieldsSeq(out) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		s.Fatalf("the operator lists no failpoint %q: %q", prefix, out)
	}
	return names
}

// passed are the failpoints at which the operator crashed, by its log.
func (s *scene) passed(names []string) (passed []string, missed []string) {
	s.Helper()
	leader, err := cluster.Leader(s.ctx)
	s.must(err)
	log, err := cluster.Logs(s.ctx, harness.OperatorNamespace, leader.Name, corev1.PodLogOptions{})
	s.must(err)
	for _, name := range names {
		if bytes.Contains(log, []byte(`"`+name+`"`)) {
			passed = append(passed, name)
		} else {
			missed = append(missed, name)
		}
	}
	return passed, missed
}

// TestOperatorCrashesInBootstrap kills the operator at every step boundary of one and
// the same bootstrap. It must end as if nothing had happened.
func TestOperatorCrashesInBootstrap(t *testing.T) {
	s := newScene(t, "crashes")
	s.withFailpoints("bootstrap/*")
	names := s.failpoints("bootstrap/")
	p := s.pair("shop")
	s.must(p.AwaitReady(s.ctx, readyWithin+time.Duration(len(names))*10*time.Second))
	passed, missed := s.passed(names)
	t.Logf("crashed at %d of %d boundaries: %v", len(passed), len(names), passed)
	if len(missed) > 0 {
		t.Errorf("a bootstrap did not come by %v", missed)
	}
	for _, member := range p.Members() {
		out := s.sql(p, member, "SELECT COUNT(*) FROM mysql.user WHERE user = 'app'")
		if out != "1" {
			t.Errorf("%s has %s accounts of the application", member, out)
		}
	}
}
