package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// oneMap is an API server with one ConfigMap.
type oneMap struct {
	mu   sync.Mutex
	data map[string]string
	// notes are those of all progress that was written.
	notes []string
}

func (m *oneMap) Get(context.Context, string, metav1.GetOptions) (*corev1.ConfigMap, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &corev1.ConfigMap{Data: map[string]string{}}
	for key, value := range m.data {
		out.Data[key] = value
	}
	return out, nil
}

func (m *oneMap) Patch(ctx context.Context, _ string, t types.PatchType, patch []byte, _ metav1.PatchOptions, _ ...string) (*corev1.ConfigMap, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var change struct{ Data map[string]string }
	if err := json.Unmarshal(patch, &change); err != nil || t != types.MergePatchType {
		return nil, errors.Join(err, errors.New("no merge patch of data"))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		m.data = map[string]string{}
	}
	for key, value := range change.Data {
		m.data[key] = value
		var progress jobapi.Progress
		if key == jobapi.KeyProgress && json.Unmarshal([]byte(value), &progress) == nil {
			m.notes = append(m.notes, progress.Note)
		}
	}
	return nil, nil
}

// result is what the Job wrote down; nil for none.
func (m *oneMap) result(t *testing.T) *jobapi.Result {
	t.Helper()
	text, ok := m.data[jobapi.KeyResult]
	if !ok {
		return nil
	}
	var out jobapi.Result
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// catalog is what the Job found in the store at its end.
func (m *oneMap) catalog(t *testing.T) jobapi.Catalog {
	t.Helper()
	var out jobapi.Catalog
	if err := json.Unmarshal([]byte(m.data[jobapi.KeyCatalog]), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func newPodJob(m *oneMap, location string) *podJob {
	return &podJob{
		board: board{api: m, name: "shop-job-1"},
		request: jobapi.Request{
			Operation: "b1",
			Kind:      jobapi.Backup,
			Passive:   "shop-1",
			Backup: &jobapi.BackupRequest{
				Store:    location,
				Verify:   true,
				KeepFor:  time.Hour,
				KeepLast: 1,
			},
		},
		now: time.Now,
		log: io.Discard,
	}
}

func TestTheJobTakesVerifiesAndRemovesBackups(t *testing.T) {
	server := mysqldtest.Start(t, mysqldtest.Options{})
	server.Open(false)
	fill(t, server.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	files := server.JobTLSFiles()
	options := serverOptions{
		address:      net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Member.AdminPort)),
		user:         mysqlops.UserClone,
		passwordFile: writeFile(t, "password", mysqldtest.Passwords.Clone.Reveal()+"\n"),
		caFile:       files.CA,
		certFile:     files.Cert,
		keyFile:      files.Key,
	}
	location := "file://" + filepath.Join(t.TempDir(), "ns.shop", "uid")
	clock := time.Now().Add(-24 * time.Hour)
	var ids []string
	for range 3 {
		m := &oneMap{}
		job := newPodJob(m, location)
		job.server = options
		job.now = func() time.Time { return clock }
		if len(ids) == 2 {
			job.now = time.Now // what the first two wrote is old enough then
		}
		if err := job.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := m.result(t)
		if got == nil || got.Outcome != jobapi.Done || got.Asked != job.request.Asked() || got.Backup == nil {
			t.Fatalf("result %+v", got)
		}
		b := got.Backup
		if !b.Verified || b.From != "shop-1" || b.Size == 0 || b.StoredSize == 0 || len(b.Digest) != 64 || b.GTIDs != executed(t, server) {
			t.Errorf("backup %+v", b)
		}
		ids = append(ids, b.ID)
		found := m.catalog(t)
		if found.Store != location || found.Total != int(b.StoredTotal) || len(found.Backups) != found.Total || found.Backups[0].ID != b.ID ||
			found.Backups[0].GTIDs != b.GTIDs || found.Backups[0].Started.IsZero() {
			t.Errorf("catalog %+v", found)
		}
		clock = clock.Add(time.Hour)
		if len(ids) == 3 && (b.StoredTotal != 2 || len(b.Removed) != 1 || b.Removed[0] != ids[0] || b.Stored[0].ID != ids[2]) {
			t.Errorf("after three: %+v", b)
		}
	}
	restored := restore(t, location, ids[2])
	if got, want := checksums(t, restored), checksums(t, server); len(want) < 3 || len(got) != len(want) {
		t.Errorf("%d tables restored of %d", len(got), len(want))
	}
}

func TestAJobThatCannotWorkSaysSo(t *testing.T) {
	closed := serverOptions{
		address:      net.JoinHostPort("127.0.0.1", strconv.Itoa(mysqldtest.FreePort(t))),
		user:         mysqlops.UserClone,
		passwordFile: writeFile(t, "password", "secret"),
		caFile:       writeFile(t, "ca", "no certificate"),
	}
	t.Run("three pods", func(t *testing.T) {
		m := &oneMap{}
		dir := t.TempDir()
		for attempt := 1; attempt <= maxAttempts; attempt++ {
			job := newPodJob(m, "file://"+dir)
			job.server = closed
			err := job.run(t.Context())
			if last := attempt == maxAttempts; last != (err == nil) || last != (m.result(t) != nil) {
				t.Fatalf("attempt %d: %v, %v", attempt, err, m.data)
			}
		}
		if got := m.result(t); got.Outcome != jobapi.Failed || !strings.Contains(got.Message, "--tls-ca") {
			t.Errorf("result %+v", got)
		}
		if again := strings.Join(m.notes, "\n"); !strings.Contains(again, "it begins again: ") {
			t.Errorf("notes %q", again)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	for name, change := range map[string]func(*jobapi.Request){
		"no backup":     func(r *jobapi.Request) { r.Backup = nil },
		"no recipient":  func(r *jobapi.Request) { r.Backup.Recipients = []string{"age1wrong"} },
		"another store": func(r *jobapi.Request) { r.Backup.Store = "file:///proc/none/such" },
	} {
		t.Run(name, func(t *testing.T) {
			m := &oneMap{}
			job := newPodJob(m, "file://"+t.TempDir())
			job.server = closed
			change(&job.request)
			if err := job.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := m.result(t); got == nil || got.Outcome != jobapi.Failed {
				t.Errorf("result %+v", got)
			}
		})
	}
	t.Run("a pod that is asked to end", func(t *testing.T) {
		m := &oneMap{}
		job := newPodJob(m, "file://"+t.TempDir())
		job.server = closed
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := job.run(ctx); err == nil || m.result(t) != nil {
			t.Errorf("%v, %v", err, m.data)
		}
	})
}
