package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// storeBackup writes a complete backup without data, with a manifest as take writes it, and returns its ID.
func storeBackup(t *testing.T, location string, age time.Duration) string {
	t.Helper()
	started := time.Now().Add(-age).UTC().Truncate(time.Second)
	m := backup.Manifest{
		Version:   1,
		ID:        backup.NewID(started, [4]byte{1}),
		Started:   started,
		Finished:  started.Add(time.Minute),
		Server:    backup.Server{UUID: "u", Version: "9.7.4"},
		GTIDAfter: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77",
		Raw:       100,
		Stored:    50,
	}
	bare, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bare)
	m.SHA256 = hex.EncodeToString(sum[:])
	sealed, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := blobstore.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	folder := "backups/" + m.ID + "/"
	err = errors.Join(
		objects.Put(t.Context(), folder+"s2/000-00000000.dbb", []byte("data")),
		objects.Put(t.Context(), folder+"manifest.json", sealed),
		objects.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// onVolume is a pair's folder on a volume.
func onVolume(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ns.shop", "uid")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}

// expireIn runs a Job of an operation of type Expire, and returns what it says.
func expireIn(t *testing.T, location string, change func(*jobapi.BackupRequest)) (jobapi.Result, jobapi.Catalog) {
	t.Helper()
	m := &oneMap{}
	job := newPodJob(m, location)
	job.request.Kind = jobapi.Expire
	job.request.Backup.KeepFor = 1000 * time.Hour
	if change != nil {
		change(job.request.Backup)
	}
	if err := job.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := m.result(t)
	if got == nil || got.Expire == nil || got.Asked != job.request.Asked() {
		t.Fatalf("result %+v", got)
	}
	return *got, m.catalog(t)
}

func catalogIDs(c jobapi.Catalog) []string {
	var out []string
	for _, one := range c.Backups {
		out = append(out, one.ID)
	}
	return out
}

// expiresOne removes single backups from a store, and tries those that are protected.
func expiresOne(t *testing.T, location string) {
	t.Helper()
	newest, middle, oldest := storeBackup(t, location, 2*time.Hour), storeBackup(t, location, 3*time.Hour), storeBackup(t, location, 4*time.Hour)
	if _, found := expireIn(t, location, nil); !slices.Equal(catalogIDs(found), []string{newest, middle, oldest}) {
		t.Fatalf("the store has %v", catalogIDs(found))
	}
	remove := func(id string, force bool) func(*jobapi.BackupRequest) {
		return func(r *jobapi.BackupRequest) {
			r.Remove = id
			r.Force = force
		}
	}
	got, found := expireIn(t, location, remove(middle, false))
	if got.Outcome != jobapi.Done || !slices.Equal(got.Expire.Removed, []string{middle}) || !slices.Equal(catalogIDs(found), []string{newest, oldest}) {
		t.Errorf("%+v; the store has %v", got, catalogIDs(found))
	}
	if left := mustRun(t, "--store", location, "list"); strings.Contains(left, middle) {
		t.Errorf("something of it is left:\n%s", left)
	}
	got, _ = expireIn(t, location, remove(middle, false))
	if got.Outcome != jobapi.Done || len(got.Expire.Removed) > 0 || !strings.Contains(got.Message, "is not in the store") {
		t.Errorf("once more: %+v", got)
	}

	got, found = expireIn(t, location, func(r *jobapi.BackupRequest) {
		r.Remove = oldest
		r.Pins = []string{oldest}
	})
	pinned := found.Backups[len(found.Backups)-1].Pinned
	if got.Outcome != jobapi.Refused || !strings.Contains(got.Message, "it is pinned") || !pinned {
		t.Errorf("a pinned one: %+v, pinned %v", got, pinned)
	}
	mustRun(t, "--store", location, "prove", newest)
	got, _ = expireIn(t, location, remove(newest, false))
	if got.Outcome != jobapi.Refused || !strings.Contains(got.Message, "the last one that a restore has proven") {
		t.Errorf("the last proven one: %+v", got)
	}
	got, found = expireIn(t, location, func(r *jobapi.BackupRequest) {
		r.Remove = oldest
		r.Unpins = []string{oldest}
	})
	if got.Outcome != jobapi.Done || !slices.Equal(catalogIDs(found), []string{newest}) {
		t.Errorf("an unpinned one: %+v; the store has %v", got, catalogIDs(found))
	}
	got, _ = expireIn(t, location, remove(newest, false))
	if got.Outcome != jobapi.Refused || !strings.Contains(got.Message, "it is the only complete backup") {
		t.Errorf("the only one: %+v", got)
	}
	got, found = expireIn(t, location, remove(newest, true))
	if got.Outcome != jobapi.Done || found.Total != 0 || got.Expire.StoredTotal != 0 {
		t.Errorf("by force: %+v; the store has %v", got, catalogIDs(found))
	}
}

func TestAnExpiryRemovesOneBackupFromAVolume(t *testing.T) {
	expiresOne(t, onVolume(t))
}

func TestAnExpiryRemovesOneBackupFromAnS3Server(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	server.Use(t, s3test.Owner)
	expiresOne(t, s3test.Location(server.Endpoint, s3test.Bucket, "prod/ns.shop/uid-1"))
}

// Without an ID the retention is applied, and pins count that only objects of the operator have.
func TestAnExpiryAppliesTheRetention(t *testing.T) {
	location := onVolume(t)
	newest, second := storeBackup(t, location, time.Hour), storeBackup(t, location, 50*time.Hour)
	third, oldest := storeBackup(t, location, 60*time.Hour), storeBackup(t, location, 70*time.Hour)
	got, found := expireIn(t, location, func(r *jobapi.BackupRequest) {
		r.KeepFor = 24 * time.Hour
		r.KeepLast = 1
		r.Pins = []string{oldest}
	})
	// The one before the window leads to its beginning.
	want := []string{newest, second, oldest}
	if got.Outcome != jobapi.Done || !slices.Equal(got.Expire.Removed, []string{third}) || !slices.Equal(catalogIDs(found), want) {
		t.Errorf("%+v; the store has %v, want %v", got, catalogIDs(found), want)
	}
}

func TestAnExpiryOfWhatIsNoIDFails(t *testing.T) {
	m := &oneMap{}
	job := newPodJob(m, onVolume(t))
	job.request.Kind = jobapi.Expire
	job.request.Backup.Remove = "../../x"
	if err := job.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := m.result(t); got == nil || got.Outcome != jobapi.Failed || !strings.Contains(got.Message, "spec.expire.backupID") {
		t.Errorf("result %+v", got)
	}
}
