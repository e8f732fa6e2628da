//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// readersManifest are a user who reads the binary logs, a server outside of the pair that replicates and
// asks to be a semi-sync replica, and a mysqlbinlog that is started again when it ends.
const readersManifest = `
apiVersion: dbpair.io/v1alpha1
kind: DatabasePairUser
metadata: {name: cdc}
spec: {pairRef: {name: shop}, user: cdc, replication: true, databases: [app]}
---
apiVersion: v1
kind: Pod
metadata: {name: warehouse}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 999, runAsGroup: 999, fsGroup: 999, seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: app, secret: {secretName: shop-user-cdc}}
  - {name: data, emptyDir: {}}
  containers:
  - name: mysqld
    image: %[1]s
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    command: [sh, -c]
    args:
    - |
      set -e
      options="--no-defaults --datadir=/data/d --socket=/data/s --pid-file=/data/p --mysqlx=OFF --secure-file-priv= \
        --server-id=77 --gtid-mode=ON --enforce-gtid-consistency=ON --innodb-buffer-pool-size=32M --performance-schema=ON"
      mysqld $options --initialize-insecure
      exec mysqld $options --plugin-load-add=semisync_replica.so --rpl-semi-sync-replica-enabled=ON
    volumeMounts: [{name: app, mountPath: /etc/dbpair/app}, {name: data, mountPath: /data}]
  - name: binlog
    image: %[1]s
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    command: [sh, -c]
    args:
    - |
      echo "[client]" > /data/c && grep -E "^(host|port|user|password|ssl)" /etc/dbpair/app/my.cnf >> /data/c
      while true; do
        first=$(mysql --defaults-file=/data/c -NBe "SHOW BINARY LOGS" | awk 'NR == 1 {print $1}')
        [ -z "$first" ] || mysqlbinlog --defaults-file=/data/c --read-from-remote-source=BINLOG-DUMP-GTIDS --stop-never \
          --connection-server-id=4711 --base64-output=DECODE-ROWS --verbose "$first" >> /data/read
        sleep 0.5
      done
    volumeMounts: [{name: app, mountPath: /etc/dbpair/app}, {name: data, mountPath: /data}]
`

// follow has the warehouse replicate from the passive, by the Service.
const follow = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '%s', SOURCE_PORT = 3307, SOURCE_USER = 'cdc', SOURCE_PASSWORD = '%s', " +
	"SOURCE_SSL = 1, SOURCE_SSL_CA = '/etc/dbpair/app/ca.crt', SOURCE_SSL_VERIFY_SERVER_CERT = 1, SOURCE_AUTO_POSITION = 1, " +
	"SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 0, SOURCE_HEARTBEAT_PERIOD = 1; START REPLICA"

// TestReaders: a server outside of the pair and a mysqlbinlog read the passive's binary logs across a
// switchover and the loss of a primary, and never acknowledge a write.
func TestReaders(t *testing.T) {
	harness.NeedsLong(t)
	t.Parallel()
	s := newScene(t, "readers")
	p := s.readyPair("shop")
	s.sql(p, s.primary(p), "CREATE TABLE app.read_me (id INT PRIMARY KEY)")
	s.shell("kubectl -n %s apply -f - <<'END'%sEND", s.namespace, fmt.Sprintf(readersManifest, harness.MySQLImage()))
	s.shell("kubectl -n %s wait dbpu/cdc --for=condition=Ready --timeout=120s", s.namespace)
	s.shell("kubectl -n %s wait pod/warehouse --for=condition=Ready --timeout=120s", s.namespace)
	outside := func(statements string) (string, error) {
		return cluster.Exec(s.ctx, s.namespace, "warehouse", "mysqld", "mysql", "--no-defaults", "--socket=/data/s", "--user=root", "-NBe", statements)
	}
	s.must(harness.Eventually(s.ctx, harness.Patience, "the warehouse answers", func(context.Context) error {
		_, err := outside("DO 1")
		return err
	}))
	passive := string(pair.PeerOf(pair.Members(p.Name), pair.MemberName(s.primary(p))))
	executed := s.sql(p, passive, "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')")
	password, err := cluster.Shell(s.ctx, fmt.Sprintf("kubectl -n %s get secret shop-user-cdc -o jsonpath='{.data.password}' | base64 -d", s.namespace))
	s.must(err)
	_, err = outside("SET sql_log_bin = 0; CREATE DATABASE app; CREATE TABLE app.read_me (id INT PRIMARY KEY); SET sql_log_bin = 1; " +
		"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('mysql.%', 'dbpair.%'); SET GLOBAL gtid_purged = '" + executed + "'; " + fmt.Sprintf(follow, "shop-passive."+s.namespace+".svc", password))
	s.must(err)

	row := 0
	arrives := func(when string) {
		s.Helper()
		row++
		s.sql(p, s.primary(p), fmt.Sprintf("INSERT INTO app.read_me VALUES (%d)", row))
		s.must(harness.Eventually(s.ctx, harness.Patience, when+": the warehouse has all rows", func(context.Context) error {
			if got, err := outside("SELECT COUNT(*) FROM app.read_me"); err != nil || strings.TrimSpace(got) != fmt.Sprint(row) {
				return harness.NotYet("%q of %d, %v", got, row, err)
			}
			return nil
		}))
		s.must(harness.Eventually(s.ctx, harness.Patience, when+": mysqlbinlog has the row", func(context.Context) error {
			_, err := cluster.Exec(s.ctx, s.namespace, "warehouse", "binlog", "grep", "-q", fmt.Sprintf("^###   @1=%d$", row), "/data/read")
			return err
		}))
		clients := s.sql(p, s.primary(p), "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_clients'")
		if clients != "1" {
			t.Errorf("%s: %s sessions acknowledge on the primary", when, clients)
		}
	}
	arrives("at first")
	s.must(harness.Eventually(s.ctx, harness.Patience, "the plugin lists the readers", func(context.Context) error {
		out, err := cluster.Plugin(s.ctx, s.namespace, "status", "shop", "-o", "wide")
		if err != nil || strings.Count(out, "caught up") != 2 || !strings.Contains(out, "cdc ") {
			return harness.NotYet("%v: %s", err, out)
		}
		return nil
	}))
	out, err := cluster.Plugin(s.ctx, s.namespace, "switchover", "shop", "--old-primary", "Demote", "--wait")
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	s.must(p.AwaitReady(s.ctx))
	arrives("after a switchover")
	before := s.primary(p)
	s.shell("kubectl -n %s delete pod %s --grace-period=0 --force", s.namespace, before)
	s.must(harness.Eventually(s.ctx, harness.Patience, "the other member is the primary", func(context.Context) error {
		if now, err := p.Primary(s.ctx); err != nil || now == before {
			return harness.NotYet("%s, %v", now, err)
		}
		return nil
	}))
	s.must(p.AwaitReady(s.ctx))
	arrives("after a failover")
	has, err := outside("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')")
	s.must(err)
	if errant := s.sql(p, s.primary(p), "SELECT GTID_SUBTRACT('"+strings.TrimSpace(has)+"', @@GLOBAL.gtid_executed)"); errant != "" {
		t.Errorf("the warehouse has %s, which the pair lacks", errant)
	}
}
