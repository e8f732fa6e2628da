//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/status"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

const (
	bucketName = "backups"
	bucketPort = 7070
	bucketUser = "owner"
)

// toBucket has a pair backed up to the S3 server of startBucket.
const toBucket = `backup:
  destination:
    s3:
      bucket: backups
      prefix: prod
      endpoint: https://s3:7070
      credentials: {name: s3-keys}
      caBundle: {name: s3-ca, key: ca.crt}
`

// startBucket starts an S3 server with a bucket, by TLS with an authority of its own, and makes the
// Secret and the ConfigMap that a destination names.
func (s *scene) startBucket() {
	s.Helper()
	const secret = "secret-of-the-owner"
	ca, err := pki.NewAuthority("s3", time.Now())
	s.must(err)
	leaf, err := ca.Issue(pki.Subject{
		CommonName: "s3",
		DNSNames:   []string{"s3"},
		Server:     true,
		Life:       24 * time.Hour,
	}, time.Now())
	s.must(err)
	s.must(cluster.Create(s.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s3-tls", Namespace: s.namespace},
		Data:       map[string][]byte{"tls.crt": leaf.CertPEM, "tls.key": leaf.KeyPEM},
	}))
	s.must(cluster.Create(s.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s3-keys", Namespace: s.namespace},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": bucketUser, "AWS_SECRET_ACCESS_KEY": secret},
	}))
	s.must(cluster.Create(s.ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "s3-ca", Namespace: s.namespace},
		Data:       map[string]string{"ca.crt": string(ca.Bundle(nil, time.Now()))},
	}))
	labels := map[string]string{"app": "s3"}
	s.must(cluster.Create(s.ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s3", Namespace: s.namespace},
		Spec: corev1.ServiceSpec{
			Selector: labels,
			Ports:    []corev1.ServicePort{{Port: bucketPort}},
		},
	}))
	pod := bucketPod(s.namespace, labels, secret)
	s.must(cluster.Create(s.ctx, pod))
	s.must(harness.Eventually(s.ctx, harness.Patience, "the bucket is made", func(ctx context.Context) error {
		out, err := cluster.Exec(ctx, s.namespace, pod.Name, "s3", "/versitygw", "admin", "--access", bucketUser, "--secret", secret,
			"--endpoint-url", "https://127.0.0.1:7070", "--allow-insecure", "create-bucket", "--owner", bucketUser, "--bucket", bucketName)
		if err != nil && !strings.Contains(err.Error()+out, "BucketAlreadyOwnedByYou") {
			return harness.NotYet("%v: %s", err, out)
		}
		return nil
	}))
}

func bucketPod(namespace string, labels map[string]string, secret string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "s3", Namespace: namespace, Labels: labels},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](65532),
				RunAsGroup:     ptr.To[int64](65532),
				FSGroup:        ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            "s3",
				Image:           harness.S3ServerImage(),
				ImagePullPolicy: corev1.PullNever,
				Args: []string{
					"--port", ":7070", "--quiet", "--cert", "/tls/tls.crt", "--key", "/tls/tls.key", "posix", "--sidecar", "/metadata", "/data",
				},
				Env: []corev1.EnvVar{
					{Name: "ROOT_ACCESS_KEY_ID", Value: bucketUser},
					{Name: "ROOT_SECRET_ACCESS_KEY", Value: secret},
				},
				ReadinessProbe: &corev1.Probe{
					ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(bucketPort)}},
					PeriodSeconds: 2,
				},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{
					{Name: "data", MountPath: "/data"},
					{Name: "metadata", MountPath: "/metadata"},
					{Name: "tls", MountPath: "/tls", ReadOnly: true},
				},
			}},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "metadata", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s3-tls"}}},
			},
		},
	}
}

// TestBackupsGoToABucket has a pair backed up to an S3 server by the schedule, and makes another
// pair of the backup.
func TestBackupsGoToABucket(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "bucket")
	s.startBucket()
	p := s.readyPair("shop", toBucket)
	s.sql(p, s.primary(p), "CREATE TABLE app.orders (id INT PRIMARY KEY); INSERT INTO app.orders VALUES (1), (2), (3)")

	s.must(p.PatchSpec(s.ctx, "backup: {schedule: '* * * * *'}"))
	s.must(harness.Eventually(s.ctx, backedUpWithin, "the schedule's backup", func(context.Context) error {
		if s.lastBackup(p).ID == "" {
			return harness.NotYet("there is none")
		}
		return nil
	}))
	s.must(p.PatchSpec(s.ctx, "backup: {suspend: true}"))
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBackedUp,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonBackupCurrent,
	}))
	if last := s.lastBackup(p); !last.Verified || !strings.HasPrefix(last.Location, "s3://backups/prod/"+s.namespace+".shop/") {
		s.Errorf("the backup: %+v", last)
	}

	if out, err := cluster.Plugin(s.ctx, s.namespace, "restore", "shop", "--as", "shop2"); err != nil {
		s.Fatalf("restore: %v\n%s", err, out)
	}
	restored := cluster.Pair(s.namespace, "shop2")
	s.must(restored.Await(s.ctx, harness.Patience, harness.Want{
		Type:   v1alpha1.ConditionBootstrapped,
		Status: metav1.ConditionTrue,
		Reason: status.ReasonDataCopied,
	}))
	s.must(restored.AwaitReady(s.ctx))
	if rows := s.sql(restored, s.primary(restored), "SELECT COUNT(*) FROM app.orders"); rows != "3" {
		s.Errorf("%s rows", rows)
	}

	// A wrong key is named by the operation and by the pair.
	s.must(s.wrongKey())
	if out, err := cluster.Plugin(s.ctx, s.namespace, "backup", "shop", "--wait"); err == nil || !strings.Contains(out+err.Error(), "Denied") {
		s.Errorf("a backup with a wrong key: %v\n%s", err, out)
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{
		Type:    v1alpha1.ConditionBackedUp,
		Status:  metav1.ConditionTrue,
		Message: "check the Secret of spec.backup.destination.s3.credentials",
	}))
}

// wrongKey has the Secret of the destination hold another key.
func (s *scene) wrongKey() error {
	_, err := cluster.Shell(s.ctx, "kubectl patch secret s3-keys -n "+s.namespace+
		` -p '{"stringData": {"AWS_SECRET_ACCESS_KEY": "wrong"}}'`)
	return err
}
