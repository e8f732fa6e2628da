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
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/store"
)

// emptyBackup writes what a store has of a backup that nobody reads.
func emptyBackup(t *testing.T, root, uid, id string) {
	t.Helper()
	dir := filepath.Join(root, uid, "backups", id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newVault(t *testing.T, root string) vault {
	t.Helper()
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, jobapi.VaultPassword), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return vault{
		request: jobapi.VaultRequest{
			Store:    "file://" + root,
			Pair:     "ns/shop",
			BackupID: v1alpha1.LatestBackup,
		},
		files:    files,
		listen:   net.JoinHostPort("127.0.0.1", strconv.Itoa(mysqldtest.FreePort(t))),
		replayOn: net.JoinHostPort("127.0.0.1", strconv.Itoa(mysqldtest.FreePort(t))),
		log:      io.Discard,
	}
}

const (
	older = "20260101T000000Z-00000001"
	newer = "20260102T000000Z-00000002"
)

func TestAVaultChoosesTheBackup(t *testing.T) {
	root := t.TempDir()
	emptyBackup(t, root, "uid-1", older)
	emptyBackup(t, root, "uid-1", newer)
	emptyBackup(t, root, "uid-2", "20251231T000000Z-00000003")
	incomplete := filepath.Join(root, "uid-1", "backups", "20260103T000000Z-00000004", "s2")
	if err := os.MkdirAll(incomplete, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(incomplete, "000000.dbb"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		uid, id string
		want    stored
		reason  jobapi.VaultReason
		says    string
	}{
		"the latest of one UID":   {"uid-1", v1alpha1.LatestBackup, stored{"uid-1", newer}, "", ""},
		"an ID":                   {"", older, stored{"uid-1", older}, "", ""},
		"the latest of two pairs": {"", v1alpha1.LatestBackup, stored{}, jobapi.BackupAmbiguous, "uid-2 (newest: 20251231T000000Z-00000003)"},
		"another UID":             {"uid-3", v1alpha1.LatestBackup, stored{}, jobapi.BackupNotFound, "spec.bootstrap.backup.pair.uid"},
		"an unknown ID":           {"uid-1", "20260105T000000Z-00000009", stored{}, jobapi.BackupNotFound, "the newest are " + newer + ", " + older},
		"one without a manifest":  {"", "20260103T000000Z-00000004", stored{}, jobapi.BackupNotFound, "no complete backup"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t, root)
			v.request.UID = tc.uid
			v.request.BackupID = tc.id
			objects, err := v.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer objects.Close()
			got, _, err := v.choose(t.Context(), objects)
			if got != tc.want || (err == nil) != (tc.reason == "") {
				t.Fatalf("got %v, %v", got, err)
			}
			if err == nil {
				return
			}
			if r := v.reportOf(err); r.Reason != tc.reason || !strings.Contains(r.Message, tc.says) {
				t.Errorf("report %+v, want %q", r, tc.says)
			}
		})
	}
	v := newVault(t, filepath.Join(root, "none"))
	if r := v.reportOf(v.serve(t.Context())); r.Reason != jobapi.BackupNotFound || !strings.Contains(r.Message, "no backup of pair ns/shop") {
		t.Errorf("an empty volume: %+v", r)
	}
	// A manifest that is none is named, and so is the backup before it.
	v = newVault(t, root)
	v.request.UID = "uid-1"
	if r := v.reportOf(v.serve(t.Context())); r.Reason != jobapi.BackupDamaged || !strings.Contains(r.Message, "the next older one is "+older) {
		t.Errorf("a damaged manifest: %+v", r)
	}
	if text, err := json.Marshal(v.reportOf(errors.New("x"))); err != nil || !strings.Contains(string(text), string(jobapi.VaultFailed)) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAVaultServesAnEncryptedBackup(t *testing.T) {
	server := mysqldtest.Start(t, mysqldtest.Options{})
	server.Open(false)
	fill(t, server.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	folder := filepath.Join(root, "uid-1")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	id := takeFrom(t, server, "file://"+folder, "--recipient", identity.Recipient().String())
	want := checksums(t, server)
	v := newVault(t, root)
	refused := func(reason jobapi.VaultReason, says string) {
		t.Helper()
		if r := v.reportOf(v.serve(t.Context())); r.Reason != reason || !strings.Contains(r.Message, says) {
			t.Errorf("report %+v, want %s and %q", r, reason, says)
		}
	}
	refused(jobapi.IdentityMissing, "spec.bootstrap.backup.identitySecretRef")
	v.request.Identity = true
	v.identityFile = writeFile(t, "identity", other.String())
	refused(jobapi.IdentityWrong, "no identity given is of a recipient")
	v.identityFile = writeFile(t, "identity", "nothing")
	refused(jobapi.IdentityWrong, "is no age identity")
	v.identityFile = writeFile(t, "identity", identity.String())

	// A damaged object ends the vault, once it is found, and leaves the recipient without data.
	damaged := firstObject(t, filepath.Join(folder, "backups", id, "s2"))
	content, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, append([]byte{content[0] ^ 1}, content[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ended, err := cloneVault(t, v)
	if err == nil {
		t.Error("a damaged backup was cloned")
	}
	r := v.reportOf(ended())
	if r.Reason != jobapi.BackupDamaged || !strings.Contains(r.Message, filepath.Base(damaged)) || !strings.Contains(r.Message, "there is no older one") {
		t.Errorf("report %+v", r)
	}
	// The next one is asked to read everything first: it says the same, and serves nothing.
	v.request.Verify = true
	if again := v.reportOf(v.serve(t.Context())); again != r {
		t.Errorf("report %+v, want %+v", again, r)
	}
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	restored, ended, err := cloneVault(t, v)
	if err != nil {
		t.Fatal(err)
	}
	if err := ended(); err != nil {
		t.Errorf("the vault ended with %v", err)
	}
	<-restored.Exited()
	restored.SetPassword(mysqldtest.Passwords.Root)
	restored.Boot()
	if diff := cmp.Diff(want, checksums(t, restored)); diff != "" || len(want) < 3 {
		t.Errorf("%d tables (-server +restored):\n%s", len(want), diff)
	}
}

func firstObject(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("no objects in %s: %v", dir, err)
	}
	return filepath.Join(dir, entries[0].Name())
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cloneVault has a fresh server copy what the vault serves. ended asks the vault to end and
// returns how it did.
func cloneVault(t *testing.T, v vault) (member *mysqldtest.Instance, ended func() error, err error) {
	t.Helper()
	member = mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Bare: true})
	certificates := member.TLSFiles()
	copyFile(t, certificates.Cert, filepath.Join(v.files, "tls.crt"))
	copyFile(t, certificates.Key, filepath.Join(v.files, "tls.key"))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- v.serve(ctx) }()
	_, text, _ := net.SplitHostPort(v.listen)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	mysqldtest.Await(t, "the vault listens", func() bool {
		conn, err := net.DialTimeout("tcp", v.listen, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	err = member.Ops.CloneFrom(ctx, mysqlops.Donor{
		Host:     "127.0.0.1",
		Port:     port,
		User:     jobapi.VaultUser,
		Password: mysqlops.NewSecret("secret"),
		TLS:      mysqlops.TLSFiles{CA: certificates.CA},
		Recorded: true,
	}, nil)
	ended = func() (end error) {
		if err == nil {
			cancel() // else it ends by itself
		}
		defer cancel()
		mysqldtest.Await(t, "the vault ends", func() bool {
			select {
			case end = <-served:
				return true
			default:
				return false
			}
		})
		return end
	}
	return member, ended, err
}

// A vault for a re-seed serves a backup only if the primary still has the binary logs that follow it, and
// what it says is about the fields of the pair that was backed up.
func TestAVaultForAReseed(t *testing.T) {
	const server = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	root := t.TempDir()
	v := newVault(t, filepath.Join(root, "none"))
	v.request.UID = "uid-1"
	v.request.Reseed = &jobapi.VaultReseed{Operation: "op-1"}
	const none = "there is no backup of pair ns/shop"
	if r := v.reportOf(v.serve(t.Context())); r.Reason != jobapi.BackupNotFound || !strings.HasPrefix(r.Message, none) {
		t.Errorf("an empty volume: %+v", r)
	}
	emptyBackup(t, root, "uid-2", older)
	v = newVault(t, root)
	v.request.UID = "uid-1"
	v.request.Reseed = &jobapi.VaultReseed{Operation: "op-1"}
	if r := v.reportOf(v.serve(t.Context())); r.Reason != jobapi.BackupNotFound || !strings.HasPrefix(r.Message, none) {
		t.Errorf("backups of another UID: %+v", r)
	}
	emptyBackup(t, root, "uid-1", newer)
	if r := v.reportOf(v.serve(t.Context())); r.Reason != jobapi.BackupDamaged || !strings.Contains(r.Message, "or copy the primary") {
		t.Errorf("a damaged manifest: %+v", r)
	}
	denied := &store.Error{
		Op:    "get",
		Key:   "k",
		Class: store.Denied,
		Err:   os.ErrPermission,
	}
	if r := v.reportOf(denied); r.Reason != jobapi.StoreDenied || !strings.Contains(r.Message, "spec.backup.destination.volume") {
		t.Errorf("a store that refuses: %+v", r)
	}
	if field := v.identityField(); field != "spec.backup.encryption.identitySecretRef" {
		t.Errorf("the field of the identity is %s", field)
	}

	for name, c := range map[string]struct {
		purged, before string
		says           string
	}{
		"nothing is purged":               {"", server + ":1-9", ""},
		"what the backup has":             {server + ":1-9", server + ":1-9", ""},
		"more than the backup has":        {server + ":1-11", server + ":1-9", "before 2 transactions that are in no binary log of the primary any more, such as " + server + ":10-11"},
		"of a backup without a set":       {server + ":1", "", "before 1 transactions"},
		"what the primary says is no set": {"x", server + ":1-9", "what the primary has purged"},
		"what the backup says is no set":  {server + ":1", "x", "gtidBefore of the manifest"},
	} {
		v.request.Reseed.Purged = c.purged
		err := v.leadsOn(backup.Manifest{ID: newer, GTIDBefore: c.before})
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	v.request.Reseed = nil
	if err := v.leadsOn(backup.Manifest{}); err != nil {
		t.Errorf("for a new pair: %v", err)
	}
}
