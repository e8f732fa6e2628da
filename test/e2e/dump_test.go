//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestAPairBeginsWithADump has a new pair load a dump from a volume. As long as the file is cut off
// nothing is loaded and the condition says so; once it is whole, both members have its rows.
func TestAPairBeginsWithADump(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "dump")
	s.must(cluster.Create(s.ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "dumps", Namespace: s.namespace},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}))
	s.must(cluster.Create(s.ctx, copier(s.namespace, "dumps")))
	store := func(script string) {
		t.Helper()
		s.must(harness.Eventually(s.ctx, harness.Patience, "the file is stored", func(context.Context) error {
			if _, err := cluster.Exec(s.ctx, s.namespace, "copier", "copier", "sh", "-c", script); err != nil {
				return harness.NotYet("%v", err)
			}
			return nil
		}))
	}
	store("set -e; mkdir -p /dumps/a; printf '%s' \"" + eventfulDump + "\" | gzip > /dumps/whole.gz; head -c 120 /dumps/whole.gz > /dumps/a/app.sql.gz")
	p := s.pair("shop", "bootstrap: {dump: {claimName: dumps, path: a/app.sql.gz, strip: true}}")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBootstrapped,
		Status:  metav1.ConditionFalse,
		Reason:  string(agentapi.ProblemDumpCutOff),
		Message: "the compressed file ends in its middle",
	}))
	store("cp /dumps/whole.gz /dumps/a/app.sql.gz")
	s.must(p.AwaitReady(s.ctx))
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonDataCopied,
	}))
	primary := s.primary(p)
	s.sql(p, primary, "INSERT INTO app.orders VALUES (4)")
	if out, err := cluster.Plugin(s.ctx, s.namespace, "checksum", "shop", "--wait"); err != nil {
		t.Errorf("the members differ: %v\n%s", err, out)
	}
	if got := s.sql(p, p.Peer(primary), "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.orders"); !strings.Contains(got, "1,2,3,4") {
		t.Errorf("rows %q", got)
	}
}

// eventfulDump is what mysqldump writes of a server with GTIDs, without quotation marks of the shell.
const eventfulDump = `-- MySQL dump 10.13
SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500';
CREATE TABLE orders (id INT PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO orders VALUES (1),(2),(3);
-- Dump completed on 2026-01-01
`

// copier is a pod that has a claim at /dumps.
func copier(namespace, claim string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "copier", Namespace: namespace},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](1000),
				FSGroup:        ptr.To[int64](1000),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            "copier",
				Image:           harness.MySQLImage(),
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{"sleep", "3600"},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "dumps", MountPath: "/dumps"}},
			}},
			Volumes: []corev1.Volume{{
				Name: "dumps",
				VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
				},
			}},
		},
	}
}
