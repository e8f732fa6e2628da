//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// lostClientManifest is a client that holds the lock of a row until it is asked to end, on a node that has the image.
const lostClientManifest = `
apiVersion: v1
kind: Pod
metadata: {name: holder}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: %[2]s}
  securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: app, secret: {secretName: shop-app}}]
  containers:
  - name: client
    image: %[1]s
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    command: [sh, -c]
    args: ['(echo "BEGIN; UPDATE held SET v = 1 WHERE id = 1;"; sleep 3600) | mysql --defaults-file=/etc/dbpair/app/my.cnf --unbuffered']
    volumeMounts: [{name: app, mountPath: /etc/dbpair/app}]
`

// TestLocksOfALostClient: a client vanishes with its node while it holds the lock of a row. Nobody closes its connection, and its
// session ends by spec.network.keepalive, so that others do not wait without end.
func TestLocksOfALostClient(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "lostclient")
	p := s.readyPair("shop")
	primary := s.primary(p)
	s.sql(p, primary, "CREATE TABLE app.held (id INT PRIMARY KEY, v INT); INSERT INTO app.held VALUES (1, 0)")
	other, err := p.Pod(s.ctx, p.Peer(primary))
	s.must(err)
	s.shell("kubectl -n %s apply -f - <<'END'%sEND", s.namespace, fmt.Sprintf(lostClientManifest, harness.MySQLImage(), other.Spec.NodeName))
	const held = "SELECT 1 FROM performance_schema.data_locks WHERE object_name = 'held' AND lock_type = 'RECORD'"
	s.must(p.AwaitRow(s.ctx, primary, held))

	holder := &corev1.Pod{}
	s.must(p.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: "holder"}, holder))
	server, err := p.Pod(s.ctx, primary)
	s.must(err)
	cut, err := harness.CutTraffic(s.ctx, []string{holder.Status.PodIP}, []string{server.Status.PodIP}, true)
	s.must(err)
	s.onEnd(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := cut.Heal(ctx); err != nil {
			t.Error(err)
		}
	})
	begun := time.Now()
	s.sql(p, primary, "SET SESSION innodb_lock_wait_timeout = 300; UPDATE app.held SET v = 2 WHERE id = 1")
	t.Logf("the lock of the client that vanished was released after %s", time.Since(begun).Round(100*time.Millisecond))
	if got := s.sql(p, primary, "SELECT v FROM app.held WHERE id = 1"); got != "2" {
		t.Errorf("the row has %q", got)
	}
}
