//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// TestBootstrap is the life of a healthy pair: from the manifest to a row that is
// readable on the passive, kept read-only, through restarts of either member.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bootstrap")
	p := s.readyPair("shop")
	clients, err := p.StartClients(s.ctx)
	s.must(err)

	t.Run("a row written through the Service is readable on the passive over TLS", func(t *testing.T) {
		s := s.sub(t)
		s.must(clients.Write(s.ctx, 2, 20*time.Millisecond))
		s.must(clients.AwaitAcks(s.ctx, harness.Patience, 20))
		report, err := clients.Stop(s.ctx)
		s.must(err)
		rows, err := clients.Rows(s.ctx)
		s.must(err)
		if len(rows) < 20 || len(report.Attempts) < 20 {
			t.Fatalf("%d rows of %d attempts", len(rows), len(report.Attempts))
		}
		for _, o := range []pair.Ordinal{0, 1} {
			s.must(harness.Eventually(s.ctx, harness.Patience, "rows on both members", func(ctx context.Context) error {
				n, err := clients.Count(ctx, o)
				if err == nil && n != len(rows) {
					err = harness.NotYet("%d of %d rows on member %d", n, len(rows), o)
				}
				return err
			}))
		}
	})
	t.Run("the status tells who is what", func(t *testing.T) { checkStatus(s.sub(t), p) })
	t.Run("replication goes both ways, with TLS and positions by GTID", func(t *testing.T) { checkChannels(s.sub(t), p) })
	t.Run("an account of the application cannot reach what is the operator's", func(t *testing.T) { checkAppAccount(s.sub(t), p) })
	t.Run("no traffic leaves the machine", func(t *testing.T) {
		s := s.sub(t)
		for _, address := range []string{"10.96.254.253:3306", "192.0.2.1:80", "203.0.113.7:443"} {
			d, err := clients.Dial(s.ctx, address)
			s.must(err)
			if d.Connected {
				t.Errorf("a connect to %s, which nobody has, was accepted", address)
			}
		}
	})
	t.Run("SET GLOBAL read_only=OFF on the passive is put back within seconds", func(t *testing.T) {
		s := s.sub(t)
		passive := p.Peer(s.primary(p))
		s.sql(p, passive, "SET GLOBAL read_only=OFF")
		s.awaitReadOnly(p, passive)
		s.awaitEvent(p, "PassiveFoundWritable")
	})
	t.Run("SET PERSIST and a kill on the passive do not open it", func(t *testing.T) {
		s := s.sub(t)
		passive := p.Peer(s.primary(p))
		// The agent closes the passive again at once: it may come between two statements.
		s.must(harness.Eventually(s.ctx, harness.Patience, "settings are persisted", func(ctx context.Context) error {
			_, err := p.SQL(ctx, passive, "SET PERSIST super_read_only=OFF; SET PERSIST read_only=OFF; SET PERSIST offline_mode=OFF")
			return err
		}))
		s.must(p.Signal(s.ctx, passive, unix.SIGKILL, harness.RoleMysqld))
		s.awaitReadOnly(p, passive)
		s.must(p.AwaitReady(s.ctx))
		if got := s.sql(p, passive, "SELECT @@GLOBAL.super_read_only"); got != "1" {
			t.Errorf("super_read_only is %s on the passive", got)
		}
	})
	t.Run("the passive's pod is deleted", func(t *testing.T) { restartMember(s.sub(t), p, clients, false) })
	t.Run("the primary's pod is deleted", func(t *testing.T) { restartMember(s.sub(t), p, clients, true) })
}

// sub is the same scene for a subtest.
func (s *scene) sub(t *testing.T) *scene {
	return &scene{
		T:         t,
		ctx:       t.Context(),
		namespace: s.namespace,
		ends:      s.ends,
	}
}

func checkStatus(s *scene, p *harness.Pair) {
	object, err := p.Object(s.ctx)
	s.must(err)
	for _, kind := range v1alpha1.ConditionTypes {
		c := meta.FindStatusCondition(object.Status.Conditions, kind)
		if c == nil || c.Reason == "" || c.Message == "" {
			s.Errorf("condition %s: %+v, want a reason and a message", kind, c)
		}
	}
	s.must(p.Await(s.ctx, harness.Patience, harness.True(v1alpha1.ConditionReady, v1alpha1.ConditionReplicating)...))
	if object.Status.Epoch < 1 || object.Status.ObservedGeneration != object.Generation {
		s.Errorf("epoch %d, observed generation %d of %d", object.Status.Epoch, object.Status.ObservedGeneration, object.Generation)
	}
	roles := map[v1alpha1.MemberRole]int{}
	nodes := map[string]bool{}
	for _, m := range object.Status.Members {
		roles[m.Role]++
		nodes[m.Node] = true
		if m.PodUID == "" || m.DataID == "" || m.MySQLVersion == "" || m.AgentVersion == "" {
			s.Errorf("member %+v lacks its identity", m)
		}
	}
	if roles[v1alpha1.RolePrimary] != 1 || roles[v1alpha1.RolePassive] != 1 {
		s.Errorf("roles %v", roles)
	}
	if len(nodes) != 2 {
		s.Errorf("both members are on one node: %v", nodes)
	}
	if len(object.Status.InSync) != 2 {
		s.Errorf("in sync: %v, want both", object.Status.InSync)
	}
}

func checkChannels(s *scene, p *harness.Pair) {
	primary := s.primary(p)
	passive := p.Peer(primary)
	const query = "SELECT HOST, PORT, SSL_ALLOWED, AUTO_POSITION FROM performance_schema.replication_connection_configuration"
	for _, member := range []string{primary, passive} {
		got := strings.Fields(s.sql(p, member, query))
		want := p.Peer(member) + "." + p.Names().Domain()
		if len(got) != 4 || got[0] != want || got[1] != "33062" || got[2] != "YES" || got[3] != "1" {
			s.Errorf("channel of %s: %v, want %s 33062 YES 1", member, got, want)
		}
	}
	if got := s.sql(p, passive, "SELECT SERVICE_STATE FROM performance_schema.replication_connection_status"); got != "ON" {
		s.Errorf("the passive's receiver is %s", got)
	}
	if got := s.sql(p, primary, "SELECT @@GLOBAL.rpl_semi_sync_source_enabled, @@GLOBAL.rpl_semi_sync_source_wait_no_replica"); got != "1\t1" {
		s.Errorf("waiting on the primary: %s", got)
	}
	if got := s.sql(p, passive, "SELECT @@GLOBAL.rpl_semi_sync_source_enabled"); got != "0" {
		s.Errorf("semi-sync's source side is %s on the passive", got)
	}
}

// checkAppAccount: what an application may do with its Secret, and what not.
func checkAppAccount(s *scene, p *harness.Pair) {
	primary := s.primary(p)
	grants := s.sql(p, primary, "SELECT GROUP_CONCAT(DISTINCT PRIVILEGE_TYPE) FROM information_schema.USER_PRIVILEGES WHERE GRANTEE LIKE \"'app'@%\"")
	for _, right := range []string{"SUPER", "SYSTEM_VARIABLES_ADMIN", "CONNECTION_ADMIN", "REPLICATION_APPLIER", "REPLICATION SLAVE"} {
		if strings.Contains(grants, right) {
			s.Errorf("the application's account has %s: %s", right, grants)
		}
	}
	var secret corev1.Secret
	s.must(p.Get(s.ctx, types.NamespacedName{Namespace: p.Namespace, Name: p.Names().App()}, &secret))
	for _, key := range []string{"type", "provider", "host", "port", "database", "username", "password", "uri", "ca.crt"} {
		if len(secret.Data[key]) == 0 {
			s.Errorf("Secret %s lacks %s", secret.Name, key)
		}
	}
}

func (s *scene) awaitReadOnly(p *harness.Pair, member string) {
	s.Helper()
	s.must(harness.Eventually(s.ctx, harness.Patience, member+" read-only", func(ctx context.Context) error {
		out, err := p.SQL(ctx, member, "SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only")
		if err == nil && out != "1\t1" {
			err = harness.NotYet("read_only, super_read_only: %q", out)
		}
		return err
	}))
}

func (s *scene) awaitEvent(p *harness.Pair, reason string) {
	s.Helper()
	s.must(harness.Eventually(s.ctx, harness.Patience, "event "+reason, func(ctx context.Context) error {
		events, err := p.Events(ctx, reason)
		if err == nil && len(events) == 0 {
			err = harness.NotYet("none yet")
		}
		return err
	}))
}

// restartMember deletes a member's pod while clients write, and waits until the pair is
// whole again.
func restartMember(s *scene, p *harness.Pair, clients *harness.Clients, primary bool) {
	member := s.primary(p)
	if !primary {
		member = p.Peer(member)
	}
	before, err := p.Pod(s.ctx, member)
	s.must(err)
	s.must(clients.Write(s.ctx, 2, 20*time.Millisecond))
	s.must(clients.AwaitAcks(s.ctx, harness.Patience, 10))
	s.must(client.IgnoreNotFound(p.Delete(s.ctx, before)))
	s.must(harness.Eventually(s.ctx, harness.Patience, "new pod "+member, func(ctx context.Context) error {
		after, err := p.Pod(ctx, member)
		if err == nil && after.UID == before.UID {
			err = harness.NotYet("still the old one")
		}
		return err
	}))
	s.must(p.AwaitReady(s.ctx))
	s.must(clients.AwaitAcks(s.ctx, harness.Patience, 10))
	report, err := clients.Stop(s.ctx)
	s.must(err)
	rows, err := clients.Rows(s.ctx)
	s.must(err)
	acknowledged := 0
	for _, a := range report.Attempts {
		if !a.Acknowledged() {
			continue
		}
		acknowledged++
		if !rows[a.Key] {
			s.Errorf("acknowledged write %+v is lost", a)
		}
	}
	s.Logf("%s restarted under %d acknowledged writes", member, acknowledged)
}

// TestTwoPairsAtOnce: pairs of one name in two namespaces, and pairs whose names are
// prefixes of each other, do not meet.
func TestTwoPairsAtOnce(t *testing.T) {
	t.Parallel()
	a := newScene(t, "two-a")
	b := newScene(t, "two-b")
	first := a.pair("db")
	second := b.pair("db")
	third := b.pair("db-0")
	for _, p := range []*harness.Pair{first, second, third} {
		a.must(p.AwaitReady(a.ctx))
	}
	for i, p := range []*harness.Pair{first, second, third} {
		a.sql(p, a.primary(p), fmt.Sprintf("CREATE TABLE app.mark AS SELECT %d AS pair", i))
	}
	for i, p := range []*harness.Pair{first, second, third} {
		a.must(harness.Eventually(a.ctx, harness.Patience, "mark", func(ctx context.Context) error {
			out, err := p.SQL(ctx, p.Peer(a.primary(p)), "SELECT pair FROM app.mark")
			if err == nil && out != fmt.Sprint(i) {
				err = harness.NotYet("pair %d of %s/%s holds the mark %q", i, p.Namespace, p.Name, out)
			}
			return err
		}))
	}
	// A pair whose own Service would take the name of another pair's object.
	taken := b.pair("db-passive")
	b.awaitComplaint(taken, "db-passive", "name")
	b.must(harness.Consistently(b.ctx, 3*time.Second, "first pair beside a clash of names", func(ctx context.Context) error {
		return second.Await(ctx, 10*time.Second, harness.True(v1alpha1.ConditionAvailable)...)
	}))
}
