package agent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/store"
)

// objects is a store in memory.
type objects struct {
	mu  sync.Mutex
	all map[string][]byte
}

func (o *objects) Put(_ context.Context, key string, content []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[key] = slices.Clone(content)
	return nil
}

func (o *objects) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.all[key]
	if !ok {
		return nil, &store.Error{
			Op:    "get",
			Key:   key,
			Class: store.NotFound,
			Err:   os.ErrNotExist,
		}
	}
	return content, nil
}

func (o *objects) List(_ context.Context, prefix string, visit func(store.Info) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, content := range o.all {
		if strings.HasPrefix(key, prefix) {
			if err := visit(store.Info{Key: key, Size: int64(len(content))}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *objects) Delete(_ context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, key)
	return nil
}

// remove takes the first object of the files away and returns its key and how it is put back.
// In the middle of some data mysqld does not read why a donor gives up.
func (o *objects) remove(t *testing.T) (key string, putBack func()) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(o.all)) {
		if strings.Contains(key, "/s2/") {
			content := o.all[key]
			delete(o.all, key)
			return key, func() { _ = o.Put(t.Context(), key, content) }
		}
	}
	t.Fatal("the backup has no object of files")
	return "", nil
}

// recorded is a server that a backup is taken of.
type recorded struct{ donor agentapi.ForeignDonor }

func (r recorded) State(context.Context) (backup.State, error) {
	return backup.State{Server: backup.Server{UUID: "u", Version: "v"}}, nil
}

func (r recorded) Clone(ctx context.Context, recorder clonewire.Recorder) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(r.donor.CA))
	return clonewire.Client{
		Address:  r.donor.Address(),
		User:     r.donor.User,
		Password: r.donor.Password,
		TLS:      &tls.Config{RootCAs: roots, ServerName: "localhost"},
		Limit:    backup.AnswerLimit,
		Wait:     patience,
	}.Clone(ctx, recorder)
}

// served serves a backup, and returns it as a donor, and why clones of it failed.
func served(t *testing.T, all *objects, id, certificates string) (agentapi.ForeignDonor, <-chan error) {
	t.Helper()
	source, err := backup.OpenSource(t.Context(), all, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(certificates, "tls.crt"), filepath.Join(certificates, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(certificates, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failures := make(chan error, 10)
	donor := clonewire.Donor{
		Served: func(err error) {
			if err != nil {
				failures <- err
			}
		},
		User:     "dbpair_vault",
		Password: "vault-secret",
		TLS:      &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		Source:   source,
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- donor.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the donor ended with %v", err)
		}
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return agentapi.ForeignDonor{
		Host:     "127.0.0.1",
		Port:     number,
		User:     donor.User,
		Password: donor.Password,
		CA:       string(ca),
		Backup:   true,
	}, failures
}

// sums are the checksums of the application's tables.
func sums(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range []string{"app.t", "app.blobs"} {
		var name, sum string
		if err := db.QueryRowContext(t.Context(), "CHECKSUM TABLE "+table).Scan(&name, &sum); err != nil {
			t.Fatal(err)
		}
		out[table] = sum
	}
	return out
}

// A pair that begins with a backup has its rows, and accounts by its own passwords. While an
// object is missing, it is named, and nothing looks like data.
func TestAPairBeginsWithABackup(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	server, donor := foreignDonor(t)
	server.SetPassword(mysqlops.NewSecret("newer"))
	root := server.Root()
	for _, statement := range []string{
		"CREATE TABLE app.blobs (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO app.blobs VALUES (1, RANDOM_BYTES(1000)), (2, NULL)",
	} {
		if _, err := root.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	all := &objects{all: map[string][]byte{}}
	id := backup.NewID(time.Now(), [4]byte{1})
	_, err := backup.Take(t.Context(), all, recorded{donor: donor}, backup.TakeOptions{ID: id, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	want := sums(t, root)
	server.Terminate()

	certificates := t.TempDir()
	if err := mysqldtest.WriteCerts(certificates); err != nil {
		t.Fatal(err)
	}
	vault, failures := served(t, all, id, certificates)
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	b.start()
	key, putBack := all.remove(t)
	w.initializeFrom(a, vault)
	if s := a.awaitProblem(agentapi.ProblemSeedFailed, patience, "clone failed"); s.DataID != "" {
		t.Errorf("the member has data %s of a damaged backup", s.DataID)
	}
	select {
	case err := <-failures:
		if !strings.Contains(err.Error(), key) {
			t.Errorf("the clone failed by %v and not by %s", err, key)
		}
	default:
		t.Errorf("the clone did not fail by %s", key)
	}
	putBack()
	w.initializeFrom(a, vault)
	a.awaitPhase(agentapi.PhaseClosed, patience)
	for _, user := range []string{"root", "app", "dbpair_clone"} {
		if err := a.knows(user, "donors"); err == nil {
			t.Errorf("before it opens, %s logs in with the password of the backup", user)
		}
	}
	w.openFirst(a)
	if diff := cmp.Diff(want, sums(t, a.db("root"))); diff != "" {
		t.Errorf("the tables (-server +restored):\n%s", diff)
	}
	w.seed(b, a, "data-1")
	w.join(b, a)
	if err := a.exec(a.db("app"), "INSERT INTO app.t (v) VALUES (4)"); err != nil {
		t.Errorf("the application's account: %v", err)
	}
	w.await("the row is on the other member", patience, func() bool {
		var n int
		return b.db("root").QueryRowContext(t.Context(), "SELECT COUNT(*) FROM app.t").Scan(&n) == nil && n == 4
	})
	if err := a.knows("reader", "reader-secret"); err != nil {
		t.Error(fmt.Errorf("an account of the backup: %w", err))
	}
}

// beginFrom orders the copy whenever the agent has none to make, also after a crash, until something is the case.
func (w *world) beginFrom(m *member, donor agentapi.ForeignDonor, what string, fine func(agentapi.State) bool) {
	w.t.Helper()
	w.insist(what, func() bool {
		s, err := m.client.State(w.t.Context(), 0, 0, false)
		if err != nil || fine(s) {
			return err == nil
		}
		if s.Phase == agentapi.PhaseEmpty {
			_, _ = m.client.Initialize(w.t.Context(), agentapi.InitializeCommand{
				Command: w.head(),
				DataID:  "data-0",
				Donor:   &donor,
			})
		}
		return false
	})
}

// goOnWriting changes tables and accounts of a server after its backup, and gives it the account of a vault.
func goOnWriting(t *testing.T, server *mysqldtest.Instance) {
	t.Helper()
	root := server.Root()
	_, _ = root.ExecContext(t.Context(), "SET GLOBAL validate_password.policy = LOW") // not every build has it
	for _, statement := range []string{
		"SET GLOBAL server_id = 77", // a replica has another one than its source
		"INSERT INTO app.t (v) VALUES (4)", "GRANT SELECT ON app.* TO app@'%'", "ALTER USER app@'%' IDENTIFIED BY 'later-secret'",
		"CREATE TABLE app.blobs (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO app.blobs VALUES (1, RANDOM_BYTES(1000))",
		"CREATE USER dbpair_vault IDENTIFIED BY 'vault-secret'", "GRANT REPLICATION SLAVE ON *.* TO dbpair_vault",
		"ALTER USER root@localhost IDENTIFIED BY 'later-secret'", "INSERT INTO app.t (v) VALUES (5)",
	} {
		if _, err := root.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	server.SetPassword(mysqlops.NewSecret("later-secret"))
}

// A copy goes on to where a source that stands for an archive ends, before the accounts in it
// are those of the pair. While there is no source, and after a crash, nothing looks like data.
func TestAPairBeginsWithABackupAndWhatFollowed(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	server, donor := foreignDonor(t)
	server.SetPassword(mysqlops.NewSecret("newer"))
	all := &objects{all: map[string][]byte{}}
	id := backup.NewID(time.Now(), [4]byte{1})
	_, err := backup.Take(t.Context(), all, recorded{donor: donor}, backup.TakeOptions{ID: id, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	goOnWriting(t, server)
	want := sums(t, server.Root())
	// The vault and the source of the archive have one certificate.
	vault, _ := served(t, all, id, filepath.Dir(server.TLSFiles().CA))
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	ends := a.keepAlive("DBPAIR_FAILPOINTS=in-replay=kill,after-replay=kill")
	vault.Replay = mysqldtest.FreePort(t)
	w.beginFrom(a, vault, "the replay fails", func(s agentapi.State) bool {
		if s.DataID != "" {
			t.Fatalf("the member has data %s that was not replayed", s.DataID)
		}
		return strings.Contains(problem(s, agentapi.ProblemSeedFailed), "not replayed")
	})
	vault.Replay = server.Member.Port
	w.beginFrom(a, vault, "closed, with the data", func(s agentapi.State) bool {
		return s.DataID == "data-0" && s.Phase == agentapi.PhaseClosed && s.Mysqld.Running
	})
	if n := ends(); n != 2 {
		t.Errorf("the agent died %d times", n)
	}
	for _, user := range []string{"root", "app"} {
		for _, password := range []string{"donors", "later-secret"} {
			if err := a.knows(user, password); err == nil {
				t.Errorf("%s logs in with the password %q of the donor", user, password)
			}
		}
	}
	w.openFirst(a)
	if diff := cmp.Diff(want, sums(t, a.db("root"))); diff != "" {
		t.Errorf("the tables (-server +restored):\n%s", diff)
	}
	if err := a.exec(a.db("app"), "INSERT INTO app.t (v) VALUES (6)"); err != nil {
		t.Errorf("the application's account: %v", err)
	}
	for query, expected := range map[string]int{
		"SELECT COUNT(*) FROM performance_schema.replication_connection_configuration": 0,
		"SELECT @@GLOBAL.sync_binlog":                    1,
		"SELECT @@GLOBAL.innodb_flush_log_at_trx_commit": 1,
	} {
		var got int
		if err := a.db("root").QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != expected {
			t.Errorf("%s: %d, %v", query, got, err)
		}
	}
}
