package resources

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files again")

func loadPair(t *testing.T, name string) *v1alpha1.DatabasePair {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name, "pair.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &v1alpha1.DatabasePair{}
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// What is built for a pair must change only when someone means it to: a changed pod
// template asks for a restart of every mysqld after an upgrade of the operator.
func TestObjectsAreAsInTheGoldenFiles(t *testing.T) {
	for _, name := range []string{"plain", "rich"} {
		p := loadPair(t, name)
		told := AgentConfig(p)
		told.OperatorKeys = []string{"0a1b2c"}
		config, err := AgentConfigMap(p, told)
		if err != nil {
			t.Fatal(err)
		}
		checksum := &v1alpha1.DatabasePairOperation{
			ObjectMeta: metav1.ObjectMeta{Name: "shop-checksum-1", Namespace: p.Namespace, UID: "op-uid"},
			Spec:       v1alpha1.OperationSpec{Type: v1alpha1.OperationChecksum},
		}
		repair := checksum.DeepCopy()
		repair.Spec.Type = v1alpha1.OperationRepair
		backup := checksum.DeepCopy()
		backup.Spec.Type = v1alpha1.OperationBackup
		drill := checksum.DeepCopy()
		drill.Spec.Type = v1alpha1.OperationRestoreDrill
		image := Image{Name: "registry.test/dbpair:1", PullPolicy: corev1.PullIfNotPresent}
		ca, err := os.ReadFile(filepath.Join("testdata", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		application, err := AppSecret(p, "Password1234", ca)
		if err != nil {
			t.Fatal(err)
		}
		archived := backedUp(p, name)
		archived.Spec.Backup.Binlog.Enabled = true
		archived.Spec.Backup.Binlog.FlushInterval.Duration = 5 * time.Second
		archive, err := ArchiveDeployment(archived, image)
		if err != nil {
			t.Fatal(err)
		}
		passwords := map[string][]byte{}
		for _, key := range InternalKeys() {
			passwords[key] = []byte("password-of-" + key)
		}
		routed := withRouter(p, name)
		routerConfig, err := RouterConfigMap(routed, ca)
		if err != nil {
			t.Fatal(err)
		}
		for file, object := range map[string]any{
			"router-deployment":           RouterDeployment(routed, routerConfig),
			"router-configmap":            routerConfig,
			"router-service":              RouterService(routed),
			"router-service-member":       RouterMemberService(routed, 1),
			"router-pdb":                  RouterDisruptionBudget(routed),
			"router-networkpolicy":        RouterNetworkPolicy(routed),
			"router-networkpolicy-member": NetworkPolicy(routed, "dbpair-system"),

			"statefulset":        StatefulSet(p, Image{Name: "registry.test/dbpair:1", PullPolicy: corev1.PullIfNotPresent}, ClaimsOf(p)),
			"service":            ClientService(p),
			"service-new":        NewClientService(p, Route{Member: "shop-0", Mode: RouteDoor}),
			"service-passive":    PassiveService(p),
			"service-pods":       PodsService(p),
			"configmap":          config,
			"serviceaccount":     AgentServiceAccount(p),
			"role":               AgentRole(p),
			"rolebinding":        AgentRoleBinding(p),
			"pdb-ready":          DisruptionBudget(p, true),
			"pdb-not-ready":      DisruptionBudget(p, false),
			"networkpolicy":      NetworkPolicy(p, "dbpair-system"),
			"secret-app":         application,
			"secret-internal":    InternalSecret(p, passwords),
			"secret-ca":          CASecret(p, []byte("certificate"), []byte("key"), true),
			"secret-tls-1":       TLSSecret(p, 1, []byte("authority"), []byte("certificate"), []byte("key")),
			"job-serviceaccount": JobServiceAccount(p), "job-role": JobRole(p, "shop-job-1"), "job-role-idle": JobRole(p, ""),
			"job-rolebinding": JobRoleBinding(p), "job-configmap": JobConfigMap(p, checksum),
			"job-secret-tls":   JobTLSSecret(p, checksum, []byte("authority"), []byte("certificate"), []byte("key")),
			"job-checksum":     Job(p, checksum, JobOptions{Image: image, Deadline: 24 * time.Hour, Request: "{}"}),
			"job-backup":       Job(backedUp(p, name), backup, JobOptions{Image: image, Deadline: time.Hour, Request: "{}"}),
			"job-restoredrill": Job(drilled(p, name), drill, JobOptions{Image: image, Deadline: time.Hour, Request: "{}"}),
			"vault-job":        VaultJob(p, restored(p, name).Spec.Bootstrap.Backup, image, "{}"), "vault-service": VaultService(p),
			"vault-secret": VaultSecret(p, "password", []byte("certificate"), []byte("key")), "vault-networkpolicy": VaultNetworkPolicy(p),
			"archive-deployment": archive, "archive-role": ArchiveRole(p), "archive-rolebinding": ArchiveRoleBinding(p),
			"archive-configmap": ArchiveConfigMap(p), "archive-networkpolicy": NetworkPolicy(archived, "dbpair-system"),
			"archive-secret": ArchiveSecret(p, []byte("authority"), []byte("certificate"), []byte("key")),
			"job-repair":     Job(p, repair, JobOptions{Image: image, Deadline: time.Hour, Request: "{}"}),
		} {
			t.Run(name+"/"+file, func(t *testing.T) { golden(t, filepath.Join("testdata", name, file+".yaml"), object) })
		}
	}
}

// withRouter is the pair with a router: with the defaults of the API if it is the plain one.
func withRouter(p *v1alpha1.DatabasePair, name string) *v1alpha1.DatabasePair {
	out := p.DeepCopy()
	out.Spec.Router = v1alpha1.RouterSpec{
		Enabled:         true,
		Image:           "haproxy:3.0",
		ImagePullPolicy: v1alpha1.ImagePullPolicy(corev1.PullIfNotPresent),
		MaxConnections:  2000,
		Service:         v1alpha1.RouterServiceSpec{Type: "ClusterIP"},
	}
	if name != "plain" {
		out.Spec.Services.Passive.FallbackToPrimary = true
		out.Spec.Router.MaxConnections = 500
		out.Spec.Router.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}
		out.Spec.Router.Service = v1alpha1.RouterServiceSpec{
			Type:        "LoadBalancer",
			Annotations: map[string]string{"lb.test/address": "192.0.2.7"},
		}
	}
	return out
}

// backedUp is the pair with backups: to a volume if it is the plain one, else to a bucket.
func backedUp(p *v1alpha1.DatabasePair, name string) *v1alpha1.DatabasePair {
	out := p.DeepCopy()
	out.Spec.Backup = &v1alpha1.BackupSpec{
		Destination: v1alpha1.BackupDestination{Volume: &v1alpha1.VolumeDestination{ClaimName: "backups"}},
	}
	if name != "plain" {
		out.Spec.Backup.Destination = v1alpha1.BackupDestination{S3: &v1alpha1.S3Destination{
			Bucket:      "b",
			Endpoint:    "https://s3.test",
			CABundle:    &v1alpha1.KeyReference{Name: "store-ca", Key: "bundle.pem"},
			Credentials: &v1alpha1.SecretReference{Name: "s3-keys"},
		}}
	}
	return out
}

// drilled is the pair as one that restores its backups to know that it can.
func drilled(p *v1alpha1.DatabasePair, name string) *v1alpha1.DatabasePair {
	out := backedUp(p, name)
	out.Spec.Backup.Drill = &v1alpha1.RestoreDrillSpec{}
	if name != "plain" {
		out.Spec.Backup.Drill.StorageClassName = ptr.To("")
		out.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{
			IdentitySecretRef: &v1alpha1.KeyReference{Name: "age", Key: "key.txt"},
		}
	}
	return out
}

// restored is the pair as one that begins with such a backup.
func restored(p *v1alpha1.DatabasePair, name string) *v1alpha1.DatabasePair {
	out := backedUp(p, name)
	source := &v1alpha1.BackupSource{Destination: out.Spec.Backup.Destination}
	if name != "plain" {
		source.IdentitySecretRef = &v1alpha1.KeyReference{Name: "age", Key: "key.txt"}
	}
	out.Spec.Bootstrap = &v1alpha1.BootstrapSpec{Backup: source}
	return out
}

func golden(t *testing.T, path string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test ./internal/resources -update writes it again):\n%s", path, diff)
	}
}

// What a StatefulSet has cannot be changed, so that it is applied as it is, and the pods mount what
// there is.
func TestTheClaimsThatExistAreKept(t *testing.T) {
	p := loadPair(t, "rich")
	image := Image{Name: "registry.test/dbpair:1", PullPolicy: corev1.PullIfNotPresent}
	for name, binlog := range map[string]*v1alpha1.BinlogStorageSpec{"one volume": nil, "two volumes": p.Spec.Storage.Binlog} {
		p.Spec.Storage.Binlog = binlog
		text, err := yaml.Marshal(StatefulSet(p, image, ClaimsOf(p)))
		if err != nil {
			t.Fatal(err)
		}
		live := &appsv1.StatefulSet{}
		if err := yaml.Unmarshal(text, live); err != nil {
			t.Fatal(err)
		}
		claims, ok := LiveClaims(live)
		if !ok {
			t.Fatalf("%s: no claims in\n%s", name, text)
		}
		p.Spec.Storage.Binlog = &v1alpha1.BinlogStorageSpec{Size: resource.MustParse("7Gi")}
		again, err := yaml.Marshal(StatefulSet(p, image, claims))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(again)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if mounted := strings.Contains(string(text), "mountPath: /binlog"); mounted != (binlog != nil) {
			t.Errorf("%s: mounted %t", name, mounted)
		}
	}
}
