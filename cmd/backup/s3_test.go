package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestABackupInAnS3ServerIsRestored(t *testing.T) {
	server := s3test.Start(t, s3test.Options{TLS: true})
	server.Use(t, s3test.Owner)
	primary := mysqldtest.Start(t, mysqldtest.Options{})
	primary.Open(false)
	fill(t, primary.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	location := s3test.Location(server.Endpoint, s3test.Bucket, "prod/ns.shop/uid-1")
	id := takeFrom(t, primary, location, "--recipient", identity.Recipient().String())
	if out := mustRun(t, "--store", location, "list"); !strings.Contains(out, id) {
		t.Errorf("list has no %s:\n%s", id, out)
	}
	mustRun(t, "--store", location, "verify", id)

	// Who restores needs no more than to read.
	server.Use(t, s3test.Reader)
	identityFile := writeFile(t, "identity", identity.String())
	restored := restore(t, location, id, "--identity", identityFile)
	if diff := cmp.Diff(executed(t, primary), executed(t, restored)); diff != "" {
		t.Errorf("gtid_executed (-server +restored):\n%s", diff)
	}
	sums := checksums(t, primary)
	if diff := cmp.Diff(sums, checksums(t, restored)); diff != "" || len(sums) < 3 {
		t.Errorf("%d tables (-server +restored):\n%s", len(sums), diff)
	}
	if out, err := run(t.Context(), "--store", location, "pin", id); err == nil || !strings.Contains(err.Error(), "Denied") {
		t.Errorf("an account that may only read pinned a backup: %v\n%s", err, out)
	}
	server.Use(t, s3test.Owner)
	damageEach(t, location, storedBackup{
		id:       id,
		pairs:    server.Dir("prod/ns.shop"),
		identity: identityFile,
	})
}

// storedBackup is where the files of a backup are.
type storedBackup struct {
	id string
	// pairs has the folders of all pairs of a name; the backup is of that with the UID uid-1.
	pairs    string
	identity string
}

// damageEach damages objects of a backup in all ways, one after the other, and insists that
// verify and a vault name each.
func damageEach(t *testing.T, location string, b storedBackup) {
	t.Helper()
	pair := filepath.Join(b.pairs, "uid-1")
	folder := filepath.Join(pair, "backups", b.id)
	pages, err := filepath.Glob(filepath.Join(folder, "s2", "*"))
	if err != nil || len(pages) < 2 {
		t.Fatalf("objects %v, %v", pages, err)
	}
	lists, err := filepath.Glob(filepath.Join(folder, "objects-*"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("lists %v, %v", lists, err)
	}
	first, second := pages[0], pages[1]
	opening := filepath.Join(folder, "opening.dbb")
	manifest := filepath.Join(folder, "manifest.json")
	flip := func(content []byte) []byte {
		content[len(content)/2] ^= 0x10
		return content
	}
	change := func(path string, to func([]byte) []byte) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, to(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	remove := func(path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		damage func()
		// named are the objects that an error has to name.
		named []string
	}{
		"a flipped byte":     {func() { change(first, flip) }, []string{first}},
		"a truncated object": {func() { change(first, func(b []byte) []byte { return b[:len(b)-1] }) }, []string{first}},
		"an emptied object":  {func() { change(second, func([]byte) []byte { return nil }) }, []string{second}},
		"two that are swapped": {func() {
			change(first, func(one []byte) []byte {
				var other []byte
				change(second, func(b []byte) []byte { other = b; return one })
				return other
			})
		}, []string{first, second}},
		"a deleted object":   {func() { remove(second) }, []string{second}},
		"a flipped opening":  {func() { change(opening, flip) }, []string{opening}},
		"a deleted list":     {func() { remove(lists[0]) }, []string{lists[0]}},
		"a flipped list":     {func() { change(lists[0], flip) }, []string{lists[0]}},
		"a flipped manifest": {func() { change(manifest, flip) }, []string{manifest}},
	} {
		t.Run(name, func(t *testing.T) {
			defer keepFiles(t, folder)()
			tc.damage()
			out, err := run(t.Context(), "--store", location, "verify", b.id)
			v := newVault(t, b.pairs)
			v.request.Store = strings.Replace(location, "/uid-1?", "?", 1)
			v.request.Verify = true
			v.request.Identity = true
			v.identityFile = b.identity
			r := v.reportOf(v.serve(t.Context()))
			if r.Reason != jobapi.BackupDamaged {
				t.Errorf("report %+v", r)
			}
			for i, object := range tc.named {
				key := strings.TrimPrefix(object, pair+"/")
				if err == nil || !strings.Contains(out, key) {
					t.Errorf("verify does not name %s: %v\n%s", key, err, out)
				}
				if i == 0 && !strings.Contains(r.Message, key) {
					t.Errorf("the vault does not name %s: %s", key, r.Message)
				}
			}
		})
	}
	mustRun(t, "--store", location, "verify", b.id)
}

// keepFiles reads all files of a directory. What it returns writes them again.
func keepFiles(t *testing.T, dir string) (restore func()) {
	t.Helper()
	kept := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			kept[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		for path, content := range kept {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestABucketThatFailsIsNamed has a bucket fail in the middle of a backup.
func TestABucketThatFailsIsNamed(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	fill(t, member.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	files := member.JobTLSFiles()
	options := serverOptions{
		address:      net.JoinHostPort("127.0.0.1", strconv.Itoa(member.Member.AdminPort)),
		user:         mysqlops.UserClone,
		passwordFile: writeFile(t, "password", mysqldtest.Passwords.Clone.Reveal()+"\n"),
		caFile:       files.CA,
		certFile:     files.Cert,
		keyFile:      files.Key,
	}
	const fine = 2 // objects that are written before the bucket fails
	always := func(int32) bool { return true }
	for name, tc := range map[string]struct {
		keys s3test.Keys
		// fails says which of the writes that follow fail, and with which status and code.
		fails  func(n int32) bool
		status int
		code   string
		// says is in the message of a backup that failed; empty for one that succeeds.
		says string
	}{
		"a bucket that refuses": {
			s3test.Owner, always, http.StatusForbidden, "AccessDenied",
			": Denied: ",
		},
		"an expired token": {
			s3test.Owner, always, http.StatusBadRequest, "ExpiredToken",
			"check the Secret of spec.backup.destination.s3.credentials",
		},
		"a full bucket": {
			s3test.Owner, always, http.StatusForbidden, "QuotaExceeded",
			"make room in spec.backup.destination.s3, or have spec.backup.retention keep less",
		},
		"a bucket that is overloaded for a while": {
			s3test.Owner, func(n int32) bool { return n < 5 }, http.StatusServiceUnavailable, "SlowDown",
			"",
		},
		"an account that may only read": {
			s3test.Reader, func(int32) bool { return false }, 0, "",
			": Denied: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server.Use(t, tc.keys)
			var writes atomic.Int32
			endpoint := server.Proxy(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut {
					return false
				}
				n := writes.Add(1) - fine
				if n <= 0 || !tc.fails(n) {
					return false
				}
				s3test.Refuse(w, tc.status, tc.code)
				return true
			})
			m := &oneMap{}
			job := newPodJob(m, s3test.Location(endpoint, s3test.Bucket, strings.ReplaceAll(name, " ", "-")))
			job.server = options
			if err := job.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := m.result(t)
			if failed := got.Outcome == jobapi.Failed; failed != (tc.says != "") || !strings.Contains(got.Message, tc.says) {
				t.Errorf("result %+v, want %q", got, tc.says)
			}
			left := 0
			for path := range filesBelow(t, server.Dir(strings.ReplaceAll(name, " ", "-"))) {
				if tc.says != "" {
					t.Errorf("%s is left behind", path)
				}
				left++
			}
			if tc.says == "" && left < fine {
				t.Errorf("a backup of %d objects", left)
			}
		})
	}
}

// TestABucketThatIsFrozenIsWaitedFor: the server stops in the middle of a backup.
func TestABucketThatIsFrozenIsWaitedFor(t *testing.T) {
	server := s3test.Start(t, s3test.Options{})
	server.Use(t, s3test.Owner)
	member := mysqldtest.Start(t, mysqldtest.Options{})
	member.Open(false)
	fill(t, member.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	var writes atomic.Int32
	endpoint := server.Proxy(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && writes.Add(1) == 3 {
			server.Freeze()
			time.AfterFunc(3*time.Second, server.Thaw)
		}
		return false
	})
	location := s3test.Location(endpoint, s3test.Bucket, "frozen")
	id := takeFrom(t, member, location)
	if writes.Load() < 3 {
		t.Fatalf("only %d objects: nothing was frozen", writes.Load())
	}
	mustRun(t, "--store", location, "verify", id)
}

// filesBelow are the files of a directory; none if it is not there.
func filesBelow(t *testing.T, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			out[path] = true
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}
