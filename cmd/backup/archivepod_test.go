package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archiver"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/store"
)

// archiveReport is what an archiver wrote last; the zero value before.
func (m *oneMap) archiveReport(t *testing.T) jobapi.ArchiveReport {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out jobapi.ArchiveReport
	if text := m.data[jobapi.KeyArchive]; text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestThePodOfAnArchiveReports archives a pair with the account of its replication, and says what
// it waits for when the folder is gone.
func TestThePodOfAnArchiveReports(t *testing.T) {
	servers := mysqldtest.StartPair(t)
	servers.A.Open(false)
	mustExec(t, servers.A.Root(), "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	files := servers.B.TLSFiles()
	dir := filepath.Join(t.TempDir(), "ns.shop", "uid")
	m := &oneMap{}
	pod := archivePod{
		board: board{api: m, name: "shop-archive"},
		request: jobapi.ArchiveRequest{
			Store:   "file://" + dir,
			PairUID: "uid",
			Hosts:   []string{"localhost"},
			Flush:   200 * time.Millisecond,
		},
		account: serverOptions{
			user:         mysqlops.UserReplication,
			passwordFile: writeFile(t, "password", mysqldtest.Passwords.Replication.Reveal()),
			caFile:       files.CA,
			certFile:     files.Cert,
			keyFile:      files.Key,
		},
		port:  servers.B.Member.AdminPort,
		pause: 100 * time.Millisecond,
		now:   time.Now,
		log:   slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pod.run(ctx) }()
	want := executed(t, servers.A)
	mysqldtest.Await(t, "the report has everything", func() bool {
		report := m.archiveReport(t)
		return report.GTIDs == want && !report.Current.IsZero() && !report.Until.IsZero() &&
			report.Segments > 0 && report.Member == "localhost" && report.Reason == ""
	})
	// An agent ends it before commits wait for the peer, and it comes again.
	if ended, err := servers.B.Ops.EndReaders(t.Context(), mysqlops.UserReplication); err != nil || ended != 1 {
		t.Errorf("%d readers ended, %v", ended, err)
	}
	// Without writes the moment at which everything was stored goes on.
	before := m.archiveReport(t).Current
	mysqldtest.Await(t, "the archive is seen to be complete later", func() bool { return m.archiveReport(t).Current.After(before) })

	if err := errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	mustExec(t, servers.A.Root(), "INSERT INTO app.t VALUES (2)")
	mysqldtest.Await(t, "the report says what is wrong", func() bool { return m.archiveReport(t).Message != "" })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAPrimaryIsReadAtThePortForReadersIfTheRequestSaysSo(t *testing.T) {
	pod := archivePod{
		request:     jobapi.ArchiveRequest{Hosts: []string{"shop-0.shop-pods.db.svc"}},
		port:        33062,
		readersPort: 7307,
	}
	if got := pod.members()[0]; got.Address != "shop-0.shop-pods.db.svc:33062" || got.Readers != "" {
		t.Errorf("a member is read at %s, and at %q while it is open", got.Address, got.Readers)
	}
	pod.request.Alone = true
	if got := pod.members()[0].Readers; got != "shop-0.shop-pods.db.svc:7307" {
		t.Errorf("while it is open a member is read at %q", got)
	}
}

func TestWhyAnArchiverDoesNotGoOnHasAReason(t *testing.T) {
	for want, err := range map[jobapi.ArchiveReason]error{
		jobapi.ArchiveForeign:                         archive.ErrForeign,
		jobapi.ArchiveForked:                          archiver.ErrFork,
		jobapi.NoMemberToRead:                         archiver.ErrNoMember,
		jobapi.ArchiveReason(jobapi.StoreDenied):      &store.Error{Class: store.Denied, Err: errors.New("403")},
		jobapi.ArchiveReason(jobapi.BucketNotFound):   &store.Error{Class: store.NoBucket, Err: errors.New("404")},
		jobapi.ArchiveReason(jobapi.StoreSkewed):      &store.Error{Class: store.Skewed, Err: errors.New("403")},
		jobapi.ArchiveReason(jobapi.StoreUnreachable): &store.Error{Class: store.Unreachable, Err: errors.New("503")},
		jobapi.ArchiveReason(jobapi.StoreUntrusted):   &store.Error{Class: store.Untrusted, Err: errors.New("x509")},
		jobapi.StoreFull:                              &store.Error{Class: store.Full, Err: errors.New("507")},
		jobapi.ArchiveFailed:                          errors.New("else"),
	} {
		if got := archiveReason(fmt.Errorf("append: %w", err)); got != want || got.Known() != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
