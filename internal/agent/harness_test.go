package agent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

const (
	leaseT  = 6 * time.Second
	pairUID = pair.UID("pair-uid-1")
	nobody  = 65534
	// patience is for what takes a moment where nothing else runs.
	patience = 2 * time.Minute
)

// binlogVolumeEnv says in the environment that all members have a volume for binary logs.
const binlogVolumeEnv = "DBPAIR_TEST_BINLOG_VOLUME"

// world is a pair of agent processes with real mysqlds on loopback, the API server's
// part that they use, and the operator's certificate.
type world struct {
	t       *testing.T
	dir     string
	program string
	bins    mysqldtest.Binaries
	api     *httptest.Server
	ca      *pki.Authority
	op      tls.Certificate
	key     *pki.Key
	opKey   string
	members [2]*member

	// binlogVolume: the members have a volume of their own for binary logs. Every test of two
	// members can be run so, by the environment variable binlogVolumeEnv.
	binlogVolume bool

	mu      sync.Mutex // also for ca and op once members run
	record  *authority.Record
	apiDown bool
	lease   time.Duration // T
}

// member is one agent process and what belongs to it.
type member struct {
	w       *world
	name    pair.MemberName
	uid     pair.PodUID
	pairUID pair.UID
	dir     string
	ports   map[string]int
	cmd     *exec.Cmd
	ended   chan struct{}
	client  *agentclient.Client
	// peerAdmin is where its mysqld reaches the peer's, when that is not directly.
	peerAdmin string
}

var portNames = []string{"mysql", "admin", "door", "agent", "metrics", "probe", "binlog", "role"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, bins: mysqldtest.Require(t), lease: leaseT, binlogVolume: os.Getenv(binlogVolumeEnv) != ""}
	var err error
	if w.dir, err = mysqldtest.MakeDir(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	w.program = buildAgent(t)
	if w.ca, err = pki.NewAuthority("shop", time.Now()); err != nil {
		t.Fatal(err)
	}
	if w.key, err = pki.NewKey(); err != nil {
		t.Fatal(err)
	}
	w.opKey = w.key.ID()
	w.signBy(w.ca)
	w.api = httptest.NewServer(http.HandlerFunc(w.serveLease))
	t.Cleanup(w.api.Close)
	for i := range w.members {
		w.members[i] = w.newMember(pair.Ordinal(i))
	}
	for i, m := range w.members {
		m.writeFiles(pair.Ordinal(i))
	}
	chown(t, w.dir)
	t.Cleanup(func() {
		for _, m := range w.members {
			m.kill()
			if text, _ := os.ReadFile(m.path("mysqld.log")); strings.Contains(string(text), "DATA RACE") {
				t.Errorf("a data race in the agent of %s: %s", m.name, text[strings.Index(string(text), "WARNING: DATA RACE"):])
			}
			if t.Failed() {
				t.Logf("log of %s:\n%s\n%s", m.name, m.log("log"), m.log("mysqld.log"))
			}
		}
	})
	return w
}

// signBy makes the operator sign by this certificate authority from now on.
func (w *world) signBy(ca *pki.Authority) {
	w.t.Helper()
	leaf, err := ca.IssueFor(pki.Operator(), w.key, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	op, err := leaf.KeyPair()
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ca = ca
	w.op = op
}

var build struct {
	sync.Once
	path string
	err  error
}

func buildAgent(t *testing.T) string {
	t.Helper()
	build.Do(func() {
		dir, err := mysqldtest.MakeDir()
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "agent")
		args := []string{"build", "-tags", "failpoints", "-o", build.path}
		environment := append(os.Environ(), "CGO_ENABLED=0")
		if raceEnabled {
			args, environment = append(args, "-race"), os.Environ()
		}
		cmd := exec.Command("go", append(args, "github.com/dbpair/dbpair/cmd/agent")...)
		cmd.Env = environment
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w: %s", err, out)
			return
		}
		build.err = os.Chmod(dir, 0o755)
	})
	if build.err != nil {
		t.Fatalf("build the agent: %v", build.err)
	}
	return build.path
}

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

func chown(t *testing.T, root string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if out, err := exec.Command("chown", "-R", strconv.Itoa(nobody)+":"+strconv.Itoa(nobody), root).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v %s", err, out)
	}
}

func (w *world) serveLease(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	record := w.record
	down := w.apiDown
	ca := w.ca
	w.mu.Unlock()
	if down {
		<-r.Context().Done()
		return
	}
	if r.URL.Path != "/apis/coordination.k8s.io/v1/namespaces/ns/leases/shop" || record == nil {
		http.Error(rw, "{}", http.StatusNotFound)
		return
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "ns"}}
	if err := errors.Join(lease.Render(*record, l), lease.Sign(*record, l, ca.Sign)); err != nil {
		w.t.Errorf("render lease: %v", err)
	}
	_ = json.NewEncoder(rw).Encode(l)
}

// write changes the Lease.
func (w *world) write(change func(*authority.Record)) authority.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var r authority.Record
	if w.record != nil {
		r = w.record.Clone()
	} else {
		r = authority.Fresh(pairUID, w.lease)
	}
	change(&r)
	r.Appointed = nil
	if !r.Holder.Nobody() {
		r.Appointed = &authority.Appointed{Holder: r.Holder, Epoch: r.Epoch}
	}
	w.record = &r
	return r
}

func (w *world) current() authority.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.record.Clone()
}

// setLease makes T another one, before the members are started.
func (w *world) setLease(t time.Duration) {
	w.lease = t
	for _, m := range w.members {
		m.configure(func(*agentapi.Config) {})
	}
	chown(w.t, w.dir)
}

func (w *world) setAPIDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apiDown = down
}

func (w *world) newMember(o pair.Ordinal) *member {
	m := &member{
		w: w, name: o.Member("shop"), uid: pair.PodUID(fmt.Sprintf("uid-%d-a", o)), pairUID: pairUID,
		dir: filepath.Join(w.dir, strconv.Itoa(int(o))), ports: map[string]int{},
	}
	for _, name := range portNames {
		m.ports[name] = mysqldtest.FreePort(w.t)
	}
	m.client = &agentclient.Client{
		Address: m.addr("agent"), Timeout: patience,
		TLS: func() (*tls.Config, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			pool := x509.NewCertPool()
			pool.AddCert(w.ca.Cert)
			return &tls.Config{
				RootCAs:      pool,
				Certificates: []tls.Certificate{w.op},
				ServerName:   string(m.name),
				MinVersion:   tls.VersionTLS13,
			}, nil
		},
	}
	return m
}

func (m *member) addr(port string) string { return fmt.Sprintf("127.0.0.1:%d", m.ports[port]) }

func (m *member) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

func (m *member) writeFiles(o pair.Ordinal) {
	t := m.w.t
	leaf, err := m.w.ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "ns"}, o), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"tls/ca.crt": string(m.w.ca.CertPEM), "tls/tls.crt": string(leaf.CertPEM), "tls/tls.key": string(leaf.KeyPEM),
	}
	for _, name := range []string{"root", "replication", "clone", "monitor", "checksum", "repair", "app"} {
		files["internal/"+name] = name + "-secret"
	}
	for path, text := range files {
		writeFile(t, m.path(path), text)
	}
	m.configure(func(*agentapi.Config) {})
	for _, dir := range []string{"data", "binlog", "run", "tmp"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *member) configure(change func(*agentapi.Config)) {
	c := agentapi.Config{
		PairName: "shop", PairUID: m.pairUID, Namespace: "ns", Domain: "shop-pods.ns.svc", LeaseDuration: m.w.lease,
		HeartbeatInterval: 500 * time.Millisecond, DeadAfter: 2 * time.Second, ApplyTimeout: 20 * time.Second,
		RestartInPlaceAfter: 2 * time.Second, Lossless: true, PassiveTimeout: time.Second, BinlogRetention: time.Hour,
		BinlogMaxSize: "30%", AppUser: "app", AppSchema: "app", OperatorKeys: []string{m.w.opKey},
		MySQL: map[string]string{
			"innodb_redo_log_capacity": "8M", "innodb_buffer_pool_size": "32M", "innodb_log_buffer_size": "1M",
			"max_connections": "60", "table_open_cache": "200",
		},
	}
	change(&c)
	text, err := json.Marshal(c)
	if err != nil {
		m.w.t.Fatal(err)
	}
	writeFile(m.w.t, m.path("config", agentapi.ConfigFile), string(text))
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// Whole or not at all: an agent may read it just now.
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o644), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// keepAlive starts the agent again whenever it ends, as a kubelet does, until the test
// ends, and counts the ends.
func (m *member) keepAlive(environment ...string) (ends func() int) {
	ctx := m.w.t.Context()
	var count atomic.Int64
	var keeping sync.WaitGroup
	m.start(environment...)
	keeping.Go(func() {
		for {
			select {
			case <-m.ended:
			case <-ctx.Done():
				return
			}
			count.Add(1)
			for m.mysqldPID() != 0 && ctx.Err() == nil { // the container's processes end with its first
				time.Sleep(10 * time.Millisecond)
			}
			if ctx.Err() != nil {
				return
			}
			m.start(environment...)
		}
	})
	m.w.t.Cleanup(keeping.Wait) // before the member is killed
	return func() int { return int(count.Load()) }
}

// start starts the agent process with further environment.
func (m *member) start(environment ...string) {
	t := m.w.t
	t.Helper()
	peer := m.w.peer(m)
	peerAdmin := peer.addr("admin")
	if m.peerAdmin != "" {
		peerAdmin = m.peerAdmin
	}
	args := []string{
		"run", "--linger", "200ms", "--bind-address", "127.0.0.1", "--data-dir", m.path("data"), "--run-dir", m.path("run"), "--config-dir", m.path("config"),
		"--internal-dir", m.path("internal"), "--tls-dir", m.path("tls"), "--api-server", m.w.api.URL,
		"--peer-address", peer.addr("agent"), "--peer-admin-address", peerAdmin, "--mysqld", m.w.bins.Mysqld,
	}
	for _, name := range portNames {
		args = append(args, "--"+name+"-port", strconv.Itoa(m.ports[name]))
	}
	if m.w.binlogVolume {
		args = append(args, "--binlog-dir", m.path("binlog"))
	}
	log, err := os.OpenFile(m.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(m.w.program, args...)
	mysqlLog, err := os.OpenFile(m.path("mysqld.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer mysqlLog.Close()
	m.cmd.Stdout = log
	m.cmd.Stderr = mysqlLog
	m.cmd.Env = append(os.Environ(), append([]string{
		"POD_NAME=" + string(m.name), "POD_NAMESPACE=ns", "POD_UID=" + string(m.uid), "POD_IP=127.0.0.1", "PAIR_NAME=shop",
		"PAIR_UID=" + string(m.pairUID), "DBPAIR_LOG=debug", "DBPAIR_FAILPOINTS_DIR=" + m.path("tmp"),
	}, environment...)...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		m.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	m.ended = ended
	cmd := m.cmd
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
}

func (w *world) peer(m *member) *member {
	if w.members[0] == m {
		return w.members[1]
	}
	return w.members[0]
}

func (m *member) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	<-m.ended
	m.awaitNoMysqld()
}

func (m *member) awaitNoMysqld() {
	m.w.await("mysqld of "+string(m.name)+" is gone", patience, func() bool { return m.mysqldPID() == 0 })
}

func (m *member) log(name string) string {
	text, _ := os.ReadFile(m.path(name))
	if len(text) > 20_000 {
		text = text[len(text)-20_000:]
	}
	return string(text)
}

// mysqldPID looks for a mysqld with this member's option file; 0 for none.
func (m *member) mysqldPID() int {
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range entries {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), m.path("run")+"/my.cnf") && !strings.Contains(string(text), "validate-config") {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			if status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); !strings.Contains(string(status), ") Z ") {
				return pid
			}
		}
	}
	return 0
}

func (w *world) await(what string, limit time.Duration, fine func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for !fine() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitState polls the agent's state until it is fine.
func (m *member) awaitState(what string, limit time.Duration, fine func(agentapi.State) bool) agentapi.State {
	m.w.t.Helper()
	var last agentapi.State
	var failure error
	deadline := time.Now().Add(limit)
	for {
		ctx, cancel := context.WithTimeout(m.w.t.Context(), 10*time.Second)
		last, failure = m.client.State(ctx, 0, 0, false)
		cancel()
		if failure == nil && fine(last) {
			return last
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(last)
			m.w.t.Fatalf("%s: waited in vain for %q; last state %s (%v)", m.name, what, text, failure)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func (m *member) awaitPhase(phase agentapi.Phase, limit time.Duration) agentapi.State {
	m.w.t.Helper()
	return m.awaitState("phase "+string(phase), limit, func(s agentapi.State) bool { return s.Phase == phase })
}

// now is the agent's present state.
func (m *member) now() agentapi.State {
	m.w.t.Helper()
	return m.awaitState("answers", patience, func(agentapi.State) bool { return true })
}

func (w *world) head() agentapi.Command {
	r := w.current()
	return agentapi.Command{
		PairUID:       r.PairUID,
		Epoch:         r.Epoch,
		LedgerVersion: r.Ledger.Version,
		RequestID:     strconv.FormatInt(time.Now().UnixNano(), 36),
	}
}

func (m *member) holder() pair.Holder { return pair.Holder{Member: m.name, PodUID: m.uid} }

// db is plain SQL over the clients' port or root's over the socket.
func (m *member) db(user string) *sql.DB {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = user, user+"-secret", "tcp", m.addr("mysql")
	if user == "root" {
		cfg.Net, cfg.Addr = "unix", m.path("run", "mysqld.sock")
	} else {
		cfg.DBName = "app"
		cfg.TLSConfig = "skip-verify"
	}
	cfg.Timeout = patience
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		m.w.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	m.w.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (m *member) exec(db *sql.DB, statement string) error {
	return m.execWithin(patience, db, statement)
}

func (m *member) execWithin(limit time.Duration, db *sql.DB, statement string) error {
	ctx, cancel := context.WithTimeout(m.w.t.Context(), limit)
	defer cancel()
	_, err := db.ExecContext(ctx, statement)
	return err
}

// intervals are the open and closed stamps of the member's log, in nanoseconds.
func (m *member) intervals() (list []stamp) {
	text, _ := os.ReadFile(m.path("log"))
	for line := range strings.SplitSeq(string(text), "\n") {
		var entry struct {
			Msg      string `json:"msg"`
			OpenedAt int64  `json:"openedAt"`
			ClosedAt int64  `json:"closedAt"`
			Asked    int64  `json:"lastConfirmationAskedAt"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "member closed" {
			list = append(list, stamp{entry.OpenedAt, entry.ClosedAt, entry.Asked})
		}
	}
	return list
}

type stamp struct{ opened, closed, asked int64 }

// margin is what is waited for beyond T, and by how much this machine was late since it was
// called: no timer is on time on one that stands still.
func (w *world) margin() func() time.Duration {
	const pause = 5 * time.Millisecond
	var latest atomic.Int64
	ctx := w.t.Context()
	go func() {
		for ctx.Err() == nil {
			before := process.Now()
			time.Sleep(pause)
			latest.Store(max(latest.Load(), int64(process.Now().Sub(before)-pause)))
		}
	}()
	return func() time.Duration { return authority.LeastMargin(leaseT) + time.Duration(latest.Load()) }
}
