//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestBadManifests: what can be judged without running anything is refused by the API server,
// with the field and the fix.
func TestBadManifests(t *testing.T) {
	t.Parallel()
	s := newScene(t, "manifests")
	cases := map[string]struct {
		name  string // of the pair; "shop" when empty
		patch string
		want  []string
	}{
		"a volume too small":                  {"", "storage: {size: 100Mi}", []string{"spec.storage.size must be at least 1Gi"}},
		"no storage at all":                   {"", "storage: null", []string{"spec.storage", "Required value"}},
		"a size that is none":                 {"", "storage: {size: lots}", []string{"spec.storage.size"}},
		"an option the operator owns":         {"", "mysql: {config: {read_only: 'OFF'}}", []string{"spec.mysql.config", "owned by the operator", "remove it"}},
		"the same with a dash and skip":       {"", "mysql: {config: {skip-log-bin: ''}}", []string{"owned by the operator"}},
		"an option that is a list":            {"", "mysql: {config: {sql_mode: [ANSI]}}", []string{"spec.mysql.config: sql_mode", "write one"}},
		"an option name with a space":         {"", "mysql: {config: {'max connections': '5'}}", []string{"an option name holds only lower-case letters"}},
		"a lease too short":                   {"", "authority: {leaseDuration: 1s}", []string{"spec.authority.leaseDuration must be from 2s to 5m"}},
		"a margin too small":                  {"", "authority: {safetyMargin: 100ms}", []string{"spec.authority.safetyMargin", "raise it"}},
		"warned of later than declared dead":  {"", "failover: {warnAfter: 20s}", []string{"spec.failover.warnAfter must not exceed deadAfter"}},
		"heartbeats rarer than the warning":   {"", "failover: {heartbeatInterval: 4s}", []string{"heartbeatInterval must not exceed warnAfter"}},
		"a mode that does not exist":          {"", "durability: {mode: Maybe}", []string{"Unsupported value", "Lossless"}},
		"a duration that is none":             {"", "failover: {deadAfter: soon}", []string{"deadAfter"}},
		"no failover budget":                  {"", "failover: {maxPerHour: 0}", []string{"maxPerHour", "greater than or equal to 1"}},
		"a binlog share beyond the volume":    {"", "mysql: {binlogMaxSize: 120%}", []string{"spec.mysql.binlogMaxSize must be a share from 1% to 90%"}},
		"a label of the operator's own":       {"", "podTemplate: {metadata: {labels: {dbpair.io/pair: other}}}", []string{"belong to the operator"}},
		"an address block that is none":       {"", "network: {allowFrom: [{cidr: everywhere}]}", []string{"cidr", "10.0.0.0/8"}},
		"a source without any selector":       {"", "network: {allowFrom: [{}]}", []string{"needs podSelector, namespaceSelector or cidr"}},
		"a name too long for what derives":    {strings.Repeat("a", 41), "", []string{"metadata.name must be at most 40 characters"}},
		"a name that starts with a digit":     {"1shop", "", []string{"metadata.name must start with a lower-case letter"}},
		"a name with a dot":                   {"shop.one", "", []string{"metadata.name"}},
		"a keepalive without end":             {"", "network: {keepalive: {idle: 5h}}", []string{"spec.network.keepalive.idle must be from 1s to 2h"}},
		"a passive lag of nothing":            {"", "services: {passive: {maxLag: 0s}}", []string{"spec.services.passive.maxLag"}},
		"an image without a name":             {"", "mysql: {image: ''}", []string{"spec.mysql.image"}},
		"an unknown access mode":              {"", "storage: {accessMode: ReadWriteMany}", []string{"accessMode", "ReadWriteOncePod"}},
		"a restart in place that never waits": {"", "failover: {restartInPlaceAfter: 0s}", []string{"restartInPlaceAfter must be from 1s to 1h"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pairName := c.name
			if pairName == "" {
				pairName = "shop"
			}
			err := cluster.Pair(s.namespace, pairName).Apply(t.Context(), c.patch)
			if err == nil {
				t.Fatal("accepted")
			}
			if !containsAll(err.Error(), c.want) {
				t.Errorf("refused with %v, want %q", err, c.want)
			}
		})
	}
	t.Run("a field that does not exist is refused under strict validation", func(t *testing.T) {
		spec, err := harness.NewManifest("replicas: 3")
		if err != nil {
			t.Fatal(err)
		}
		err = cluster.Pair(s.namespace, "shop").ApplyStrict(t.Context(), spec)
		if err == nil || !strings.Contains(err.Error(), "spec.replicas") {
			t.Errorf("error %v", err)
		}
	})
}

// TestBadEdits: changes of a pair that exists which cannot be done.
func TestBadEdits(t *testing.T) {
	t.Parallel()
	s := newScene(t, "edits")
	p := s.pair("shop", "storage: {storageClassName: no-such-class}")
	for fragment, want := range map[string]string{
		"storage: {size: 1Gi}":                    "spec.storage.size cannot shrink",
		"storage: {storageClassName: other}":      "spec.storage.storageClassName cannot be changed",
		"storage: {accessMode: ReadWriteOncePod}": "spec.storage.accessMode cannot be changed",
	} {
		if err := p.PatchSpec(s.ctx, fragment); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fragment, err, want)
		}
	}
	s.must(p.PatchSpec(s.ctx, "mysql: {config: {max_connections: 200, local_infile: true, innodb_buffer_pool_size: 128M}}"))
	s.awaitComplaint(p, "data-shop-0", "storageClassName") // the volume that nobody binds
	operation := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "adopt"},
		Spec:       v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{Name: "shop"}, Type: v1alpha1.OperationAdopt},
	}
	if err := cluster.Create(s.ctx, operation); err == nil || !containsAll(err.Error(), []string{"spec.target is required", "spec.confirm is required"}) {
		t.Errorf("an operation without target and confirmation: %v", err)
	}
	operation.Spec.Target = "shop-0"
	operation.Spec.Confirm = "shop/7"
	s.must(cluster.Create(s.ctx, operation))
	before := operation.DeepCopy()
	operation.Spec.Target = "shop-1"
	if err := cluster.Patch(s.ctx, operation, client.MergeFrom(before)); err == nil || !strings.Contains(err.Error(), "cannot be changed") {
		t.Errorf("a changed operation: %v", err)
	}
}

// TestBadPairs: what shows only when it runs ends in a condition and an event that say
// what to do.
func TestBadPairs(t *testing.T) {
	t.Parallel()
	s := newScene(t, "badpairs")
	small, err := cluster.SmallVolumes(s.ctx, s.namespace, 48<<20)
	s.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := small.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	cases := map[string]struct {
		patch string
		want  []string
	}{
		"nomysqld": {fmt.Sprintf("mysql: {image: %q}", harness.ClientImage()), []string{"mysqld", "spec.mysql.image"}},
		"tooold":   {fmt.Sprintf("mysql: {image: %q}", harness.OldMySQLImage()), []string{"8.0.36", "8.4"}},
		"noimage":  {`mysql: {image: "localhost/no-such-image:1", imagePullPolicy: Never}`, []string{"image"}},
		"nooption": {`mysql: {config: {no_such_option: "1"}}`, []string{"no_such_option"}},
		"badvalue": {`mysql: {config: {innodb_buffer_pool_size: plenty}}`, []string{"innodb_buffer_pool_size", "plenty", "spec.mysql.config"}},
		"unbound":  {`storage: {storageClassName: no-such-class}`, []string{"data-unbound-0", "spec.storage.storageClassName"}},
		"fulldisk": {fmt.Sprintf("storage: {storageClassName: %s, accessMode: ReadWriteOnce}", small.Class), []string{"full", "fulldisk-0"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := s.sub(t)
			p := s.pair(name, c.patch)
			s.awaitComplaint(p, c.want...)
			object, err := p.Object(s.ctx)
			s.must(err)
			if object.Status.Primary != "" {
				t.Errorf("a primary was appointed: %s", object.Status.Primary)
			}
			s.must(p.Remove(s.ctx)) // the machine is small
		})
	}
}

// TestDeletedObjects: what someone deletes is made again, and mysqld does not notice.
func TestDeletedObjects(t *testing.T) {
	t.Parallel()
	s := newScene(t, "deleted")
	p := s.readyPair("shop")
	primary := s.primary(p)
	before, err := p.Pod(s.ctx, primary)
	s.must(err)
	names := p.Names()
	objects := map[string]client.Object{
		"Secret of the pair's own accounts": &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: names.Internal()}},
		"Secret of the application":         &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: names.App()}},
		"certificate of member 1":           &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: names.TLS(pair.Ordinal(1))}},
		"client Service":                    &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: names.Pair}},
		"configuration":                     &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: names.Config()}},
	}
	for what, object := range objects {
		object.SetNamespace(s.namespace)
		s.must(cluster.Get(s.ctx, client.ObjectKeyFromObject(object), object))
		uid := object.GetUID()
		s.must(cluster.Delete(s.ctx, object))
		s.must(harness.Eventually(s.ctx, harness.Patience, what, func(ctx context.Context) error {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object)
			if err == nil && object.GetUID() == uid {
				err = harness.NotYet("still the old one")
			}
			return err
		}))
	}
	s.must(p.AwaitReady(s.ctx))
	clients, err := p.StartClients(s.ctx) // with the new password
	s.must(err)
	s.must(harness.Eventually(s.ctx, harness.Patience, "a client with the new Secret", func(ctx context.Context) error {
		return clients.Write(ctx, 1, 20*time.Millisecond)
	}))
	s.must(clients.AwaitAcks(s.ctx, harness.Patience, 10))
	after, err := p.Pod(s.ctx, primary)
	s.must(err)
	if after.UID != before.UID || after.Status.ContainerStatuses[0].RestartCount != before.Status.ContainerStatuses[0].RestartCount {
		t.Error("the primary was restarted")
	}
}

// TestDeletionKeepsData: a pair that is deleted leaves its volumes, and a new one of its
// name takes them up; one with the other setting leaves nothing.
func TestDeletionKeepsData(t *testing.T) {
	t.Parallel()
	s := newScene(t, "deletion")
	p := s.readyPair("shop")
	s.sql(p, s.primary(p), "CREATE TABLE app.kept AS SELECT 42 AS n")
	s.deletePair(p)
	for _, o := range []pair.Ordinal{0, 1} {
		s.must(cluster.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: p.Names().Claim(o)}, &corev1.PersistentVolumeClaim{}))
	}
	p = s.readyPair("shop")
	for _, member := range p.Members() {
		if got := s.sql(p, member, "SELECT n FROM app.kept"); got != "42" {
			t.Errorf("%s: the table holds %q", member, got)
		}
	}
	s.must(p.PatchSpec(s.ctx, "storage: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}}"))
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionReady)...)) // the claims know
	s.deletePair(p)
	s.must(harness.Eventually(s.ctx, harness.Patience, "removal of the volumes", func(ctx context.Context) error {
		var claims corev1.PersistentVolumeClaimList
		if err := cluster.List(ctx, &claims, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		if len(claims.Items) > 0 {
			return harness.NotYet("%d left", len(claims.Items))
		}
		return nil
	}))
}

func (s *scene) deletePair(p *harness.Pair) {
	s.Helper()
	s.must(p.Remove(s.ctx))
	s.must(harness.Eventually(s.ctx, harness.Patience, "end of the pair's pods", func(ctx context.Context) error {
		for _, member := range p.Members() {
			if _, err := p.Pod(ctx, member); !apierrors.IsNotFound(err) {
				return harness.NotYet("pod %s: %v", member, err)
			}
		}
		_, err := p.Object(ctx)
		if !apierrors.IsNotFound(err) {
			return harness.NotYet("pair: %v", err)
		}
		return nil
	}))
}

// TestForeignVolume: the volume of another pair is neither taken over nor wiped.
func TestForeignVolume(t *testing.T) {
	t.Parallel()
	s := newScene(t, "foreign")
	owner := s.readyPair("mine")
	s.sql(owner, s.primary(owner), "CREATE TABLE app.precious AS SELECT 1 AS n")
	s.deletePair(owner)
	s.giveVolume("data-mine-0", "data-thief-0")
	thief := s.pair("thief")
	s.awaitComplaint(thief, "volume", "mine")
	object, err := thief.Object(s.ctx)
	s.must(err)
	if object.Status.Primary == "thief-0" {
		t.Error("a foreign volume became primary")
	}
	out, err := cluster.Exec(s.ctx, s.namespace, "thief-0", "mysqld", "sh", "-c", "ls /data/mysql/app")
	s.must(err)
	if !strings.Contains(out, "precious") {
		t.Errorf("the foreign data is gone: %q", out)
	}
}

// giveVolume binds the volume of one claim to a claim of another name.
func (s *scene) giveVolume(from, to string) {
	s.Helper()
	var claim corev1.PersistentVolumeClaim
	s.must(cluster.Get(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: from}, &claim))
	var volume corev1.PersistentVolume
	s.must(cluster.Get(s.ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, &volume))
	patch := client.MergeFrom(volume.DeepCopy())
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	s.must(cluster.Patch(s.ctx, &volume, patch))
	s.must(cluster.Delete(s.ctx, &claim))
	s.must(harness.Eventually(s.ctx, harness.Patience, "release of the volume", func(ctx context.Context) error {
		if err := cluster.Get(ctx, types.NamespacedName{Name: volume.Name}, &volume); err != nil {
			return err
		}
		if volume.Status.Phase != corev1.VolumeReleased {
			return harness.NotYet("phase %s", volume.Status.Phase)
		}
		return nil
	}))
	patch = client.MergeFrom(volume.DeepCopy())
	// Kept for this claim: a volume without a claim goes to whichever asks first.
	volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: s.namespace, Name: to}
	s.must(cluster.Patch(s.ctx, &volume, patch))
	s.must(cluster.Create(s.ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: to},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      volume.Spec.AccessModes,
			StorageClassName: claim.Spec.StorageClassName,
			VolumeName:       volume.Name,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
		},
	}))
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		patch := client.MergeFrom(volume.DeepCopy())
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		_ = cluster.Patch(ctx, &volume, patch)
	})
}
