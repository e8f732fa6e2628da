package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// What a Job's process of these tests is given; with envAPI this program is one.
const (
	envAPI  = "DBPAIR_TEST_JOB_API"
	envTLS  = "DBPAIR_TEST_JOB_TLS"
	envPort = "DBPAIR_TEST_JOB_PORT"
)

func TestMain(m *testing.M) {
	if os.Getenv(envAPI) != "" {
		os.Exit(beJob())
	}
	os.Exit(mysqldtest.Main(m))
}

func beJob() int {
	core, err := typedv1.NewForConfig(&rest.Config{Host: os.Getenv(envAPI)})
	port, perr := strconv.Atoi(os.Getenv(envPort))
	if err != nil || perr != nil {
		fmt.Fprintln(os.Stderr, err, perr)
		return 2
	}
	var request jobapi.Request
	if err := json.Unmarshal([]byte(os.Getenv(jobapi.EnvRequest)), &request); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err = Run(context.Background(), Options{
		ConfigMaps: core.ConfigMaps("ns"),
		Name:       "j",
		Request:    request,
		Dirs:       Dirs{TLS: os.Getenv(envTLS), Passwords: os.Getenv(envTLS)},
		AdminPort:  port,
		Every:      50 * time.Millisecond,
		Log:        logr.Discard(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// store is an API server that has one ConfigMap.
type store struct {
	mu  sync.Mutex
	now corev1.ConfigMap
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPatch {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &s.now); err != nil { // adds to its maps, as a merge does
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.now)
}

// state is where the Job would go on.
func (s *store) state() (state checksum.State, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	packed := s.now.BinaryData[jobapi.KeyState]
	if len(packed) == 0 {
		return state, false
	}
	text, err := unpack(packed)
	return state, err == nil && json.Unmarshal(text, &state) == nil
}

func (s *store) result() (result jobapi.Result, progress jobapi.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.Unmarshal([]byte(s.now.Data[jobapi.KeyResult]), &result)
	_ = json.Unmarshal([]byte(s.now.Data[jobapi.KeyProgress]), &progress)
	return result, progress
}

// begin makes the ConfigMap again, with this state.
func (s *store) begin(state []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = corev1.ConfigMap{BinaryData: map[string][]byte{}}
	s.now.Kind = "ConfigMap"
	s.now.APIVersion = "v1"
	s.now.Name = "j"
	s.now.Namespace = "ns"
	if state != nil {
		s.now.BinaryData[jobapi.KeyState] = state
	}
}

// way leads from an address of its own to each member's admin port, on one port as
// between pods, and can be made long.
type way struct{ delay atomic.Int64 }

func (w *way) to(t *testing.T, address string, target int) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", target))
			if err != nil {
				_ = from.Close()
				continue
			}
			go w.carry(to, from)
			go w.carry(from, to)
		}
	}()
}

func (w *way) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(w.delay.Load()))
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

const (
	killedRows = 300_000
	// walked is what finding the bounds of the first and the last chunk reads once more
	// on the primary.
	walked = 2*checksum.DefaultChunkRows + 100
)

// killScene is a pair with a large table that differs in its first row.
type killScene struct {
	*testing.T
	pair  mysqldtest.Pair
	onA   *sql.DB
	onB   *sql.DB
	store *store
	way   *way
	port  int
	url   string
	tls   string
}

func newKillScene(t *testing.T) *killScene {
	s := &killScene{
		T:     t,
		pair:  mysqldtest.StartPair(t),
		store: &store{},
		way:   &way{},
	}
	s.onA, s.onB = s.pair.A.Root(), s.pair.B.Root()
	s.pair.A.Open(true)
	if err := s.pair.B.Ops.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.port = s.pair.A.Member.AdminPort
	s.way.to(t, fmt.Sprintf("127.1.0.1:%d", s.port), s.pair.A.Member.AdminPort)
	s.way.to(t, fmt.Sprintf("127.2.0.1:%d", s.port), s.pair.B.Member.AdminPort)
	server := httptest.NewServer(s.store)
	t.Cleanup(server.Close)
	s.url = server.URL
	files := s.pair.A.JobTLSFiles()
	s.tls = filepath.Dir(files.CA)
	if err := os.WriteFile(filepath.Join(s.tls, agentapi.PasswordFileChecksum), []byte(mysqldtest.Passwords.Checksum.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.fill()
	return s
}

func (s *killScene) fill() {
	s.exec(s.onA, "CREATE DATABASE k", "SET cte_max_recursion_depth = 1000000", "CREATE TABLE k.t (id INT PRIMARY KEY, n INT)",
		fmt.Sprintf("INSERT INTO k.t WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i, i FROM r", killedRows))
	mysqldtest.Await(s, "B has the rows", func() bool {
		var n int
		return s.onB.QueryRow("SELECT COUNT(*) FROM k.t").Scan(&n) == nil && n == killedRows
	})
	s.exec(s.onB, "SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = OFF",
		"UPDATE k.t SET n = 0 WHERE id = 1", "SET SESSION sql_log_bin = ON", "SET GLOBAL super_read_only = ON")
}

func (s *killScene) exec(db *sql.DB, statements ...string) {
	s.Helper()
	conn, err := db.Conn(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(s.Context(), statement); err != nil {
			s.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *killScene) request() jobapi.Request {
	return jobapi.Request{
		Operation: "shop-checksum-1",
		Kind:      jobapi.Checksum,
		Pair:      "shop",
		Namespace: "ns",
		Epoch:     1,
		// With the domain these are the addresses of the ways.
		Primary:     pair.MemberName("127.1"),
		Passive:     pair.MemberName("127.2"),
		Domain:      "0.1",
		Include:     []string{"k"},
		Parallelism: 1,
		MaxLockTime: 5 * time.Second,
		MaxLag:      time.Minute,
	}
}

// start begins a process of the Job.
func (s *killScene) start() *exec.Cmd {
	s.Helper()
	request, err := json.Marshal(s.request())
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobapi.EnvRequest+"="+string(request), envAPI+"="+s.url, envTLS+"="+s.tls, envPort+"="+strconv.Itoa(s.port))
	cmd.Stdout = os.Stderr
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// forget begins to count the rows that are read, once nobody reads any more.
func (s *killScene) forget() {
	s.Helper()
	for _, db := range []*sql.DB{s.onA, s.onB} {
		mysqldtest.Await(s, "no session of the Job is left", func() bool {
			var n int
			err := db.QueryRow("SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_USER = ?", mysqlops.UserChecksum).Scan(&n)
			return err == nil && n == 0
		})
		s.exec(db, "TRUNCATE performance_schema.table_io_waits_summary_by_table")
	}
}

// read counts the rows of the table that mysqld has read since.
func (s *killScene) read(db *sql.DB) (rows int64) {
	s.Helper()
	err := db.QueryRow(`SELECT COUNT_FETCH FROM performance_schema.table_io_waits_summary_by_table
		WHERE OBJECT_SCHEMA = 'k' AND OBJECT_NAME = 't'`).Scan(&rows)
	if err != nil {
		s.Fatal(err)
	}
	return rows
}

// finish runs the Job to its end and checks what it found.
func (s *killScene) finish(attempt int32) {
	s.Helper()
	s.way.delay.Store(0)
	if err := s.start().Wait(); err != nil {
		s.Fatalf("the Job's process: %v", err)
	}
	result, progress := s.store.result()
	if result.Outcome != jobapi.Done || result.Rows != killedRows || result.DifferingRows != 1 || progress.Attempts != attempt {
		s.Errorf("result %+v, progress %+v; want %d rows, one of them different, attempt %d", result, progress, killedRows, attempt)
	}
}

// awaitChunks returns the state once the Job has written down that some chunks are compared.
func (s *killScene) awaitChunks() (state checksum.State) {
	s.Helper()
	mysqldtest.Await(s, "some chunks are compared and written down", func() (found bool) {
		state, found = s.store.state()
		return found && len(state.Current) == 1 && state.Current[0].Partial.Chunks >= 4
	})
	return state
}

// A process that is killed writes nothing more. What it had compared by the position that
// it wrote last is not read again by the next one: mysqld counts.
func TestAKilledJobGoesOnWhereItWas(t *testing.T) {
	s := newKillScene(t)
	s.store.begin(nil)
	s.way.delay.Store(int64(50 * time.Millisecond))
	cmd := s.start()
	s.awaitChunks()
	s.way.delay.Store(int64(2 * time.Second)) // it must not come much further
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	before, _ := s.store.state() // it may have come further
	position := before.Current[0]
	if len(position.After) != 1 || position.Partial.DifferingRows() != 1 || position.Partial.Rows > killedRows-2*checksum.DefaultChunkRows {
		t.Fatalf("killed at %+v: want to be in the middle, with the first row found", position)
	}
	after, err := strconv.ParseInt(position.After[0], 10, 64)
	if err != nil || after != position.Partial.Rows {
		t.Fatalf("killed after key %v and %d rows, which are the same here: %v", position.After, position.Partial.Rows, err)
	}
	s.forget()
	s.finish(2)
	left := killedRows - after
	for name, one := range map[string]struct {
		db   *sql.DB
		more int64
	}{"primary": {s.onA, walked}, "passive": {s.onB, 100}} {
		limit := left + one.more
		rows := s.read(one.db)
		t.Logf("%s: killed after %d rows, %d read since, %d left", name, after, rows, left)
		if rows < left || rows > limit {
			t.Errorf("the %s has read %d rows since the kill, want %d to %d", name, rows, left, limit)
		}
	}

	// The same without the position: these counters do tell.
	s.store.begin(nil)
	s.forget()
	s.finish(1)
	if rows := s.read(s.onB); rows < killedRows {
		t.Errorf("from the start the passive has read %d rows, want %d and more", rows, killedRows)
	}

	// A position of other servers is of no use.
	before.Report.PassiveUUID = before.Report.PrimaryUUID
	packed, err := pack(before)
	if err != nil {
		t.Fatal(err)
	}
	s.store.begin(packed)
	s.forget()
	s.finish(1)
	if rows := s.read(s.onB); rows < killedRows {
		t.Errorf("with the position of another server the passive has read %d rows, want %d and more", rows, killedRows)
	}
}

// Sessions that a member ends take their snapshots with them. The same process goes on in
// new ones, at the position that it knows.
func TestAJobWhoseSessionsAreEndedGoesOn(t *testing.T) {
	s := newKillScene(t)
	s.store.begin(nil)
	s.way.delay.Store(int64(50 * time.Millisecond))
	cmd := s.start()
	after := s.awaitChunks().Current[0].Partial.Rows
	s.way.delay.Store(int64(5 * time.Second)) // to log in again takes longer than to forget
	for _, db := range []*sql.DB{s.onA, s.onB} {
		mysqldtest.EndSessions(s, db, mysqlops.UserChecksum)
	}
	s.forget()
	s.way.delay.Store(0)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the Job's process: %v", err)
	}
	result, progress := s.store.result()
	if result.Outcome != jobapi.Done || result.Rows != killedRows || result.DifferingRows != 1 || progress.Attempts != 1 {
		t.Errorf("result %+v, progress %+v; want %d rows, one of them different, one attempt", result, progress, killedRows)
	}
	if rows := s.read(s.onB); rows == 0 || rows > killedRows-after+100 {
		t.Errorf("the passive has read %d rows since, at most %d were left", rows, killedRows-after)
	}
}
