package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// state is what a server has at some time.
type state struct {
	executed string
	sums     map[string]int64
}

func stateOf(t *testing.T, server *mysqldtest.Instance) state {
	t.Helper()
	return state{
		executed: executed(t, server),
		sums:     checksums(t, server),
	}
}

// is fails the test unless a server has exactly that.
func (m state) is(t *testing.T, what string, server *mysqldtest.Instance) {
	t.Helper()
	got := stateOf(t, server)
	if got.executed != m.executed {
		t.Errorf("%s: the server has %s, want %s", what, got.executed, m.executed)
	}
	if diff := cmp.Diff(m.sums, got.sums); diff != "" || len(m.sums) < 3 {
		t.Errorf("%s: %d tables (-then +restored):\n%s", what, len(m.sums), diff)
	}
}

// last is the newest transaction of a server, which has one since before.
func last(t *testing.T, server *mysqldtest.Instance, before string) gtid.Set {
	t.Helper()
	added := gtid.MustParse(executed(t, server)).Subtract(gtid.MustParse(before))
	if added.Count() != 1 {
		t.Fatalf("%s are not one transaction", added)
	}
	return added
}

// archiveOf runs an archiver of a pair until end is called.
func archiveOf(t *testing.T, location string, pair mysqldtest.Pair) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	args := []string{
		"--store", location, "archive", "--flush-interval", "100ms",
		"--password-file", writeFile(t, "password", "secret"), "--tls-ca", pair.A.TLSFiles().CA,
	}
	for _, one := range []*mysqldtest.Instance{pair.A, pair.B} {
		args = append(args, "--member", net.JoinHostPort("localhost", strconv.Itoa(one.Member.AdminPort)))
	}
	go func() {
		_, err := run(ctx, args...)
		ended <- err
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func awaitArchived(t *testing.T, location string, server *mysqldtest.Instance) {
	t.Helper()
	objects, err := blobstore.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	all := gtid.MustParse(executed(t, server))
	mysqldtest.Await(t, "everything is archived", func() bool {
		c, err := archive.Load(t.Context(), objects)
		return err == nil && len(c.Runs) > 0 && c.Runs[len(c.Runs)-1].End().Covers(all)
	})
}

// switchOver opens the passive and makes the primary follow it.
func switchOver(t *testing.T, from, to *mysqldtest.Instance) {
	t.Helper()
	mustExec(t, from.Root(), "SET GLOBAL super_read_only = ON")
	if err := to.Ops.WaitApplied(t.Context(), gtid.MustParse(executed(t, from)), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := to.Ops.ResetReplicaAll(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	to.Open(false)
	from.Follow(to)
}

// replayFrom has a member replay what a vault serves.
func replayFrom(t *testing.T, v vault, member *mysqldtest.Instance) error {
	t.Helper()
	_, text, _ := net.SplitHostPort(v.replayOn)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return member.Ops.ReplayFrom(t.Context(), mysqlops.Source{
		Host:     "127.0.0.1",
		Port:     port,
		User:     jobapi.VaultUser,
		Password: mysqlops.NewSecret("secret"),
		TLS:      mysqlops.TLSFiles{CA: member.TLSFiles().CA},
	}, nil)
}

// restoredTo is a new server that was restored from a vault.
func restoredTo(t *testing.T, v vault) *mysqldtest.Instance {
	t.Helper()
	member, ended, err := cloneVault(t, v)
	if err != nil {
		t.Fatal(err)
	}
	<-member.Exited()
	member.SetPassword(mysqldtest.Passwords.Root)
	member.Boot()
	if err := member.Ops.ResetReplicaAll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := replayFrom(t, v, member); err != nil {
		t.Error(err)
	}
	if err := ended(); err != nil {
		t.Errorf("the vault ended with %v", err)
	}
	if status, err := member.Ops.Status(t.Context()); err != nil || status.Channel.Configured {
		t.Errorf("the member keeps its channel to the vault: %v", err)
	}
	return member
}

// history is a pair that changed roles, with backups and an archive, and what it had at some moments.
type history struct {
	root, location string
	// first was taken under writes, and second after everything.
	first, second string
	// early is when the first backup was complete, and earlyTime its time; late is before a table
	// was dropped; end is everything.
	early, late, end state
	earlyTime        string
	dropped          gtid.Set
}

func newHistory(t *testing.T) history {
	t.Helper()
	pair := mysqldtest.StartPair(t)
	pair.A.Open(false)
	mustExec(t, pair.A.Root(),
		"CREATE USER dbpair_archive IDENTIFIED BY 'secret' REQUIRE SSL",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN, CONNECTION_ADMIN ON *.* TO dbpair_archive")
	h := history{root: t.TempDir()}
	folder := filepath.Join(h.root, "uid-1")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	h.location = "file://" + folder
	stopArchiver := archiveOf(t, h.location, pair)
	client := pair.A.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	fill(t, client)
	stop := keepWriting(t, client)
	h.first = takeFrom(t, pair.B, h.location)
	mustExec(t, client, "INSERT INTO app.t0 (v) VALUES ('after the backup')")
	stop()
	h.early = stateOf(t, pair.A)
	const now = "SELECT CONCAT(REPLACE(UTC_TIMESTAMP(6), ' ', 'T'), '+00:00')"
	if err := pair.A.Root().QueryRowContext(t.Context(), now).Scan(&h.earlyTime); err != nil {
		t.Fatal(err)
	}
	mustExec(t, client, "INSERT INTO app.t1 (v) VALUES ('too late')", "UPDATE app.t2 SET v = 'x'")

	switchOver(t, pair.A, pair.B)
	root := pair.B.Root()
	mustExec(t, root, "INSERT INTO app.t1 (v) VALUES ('of the other member')", "CREATE TABLE app.other (id INT PRIMARY KEY)",
		"INSERT INTO app.other VALUES (1), (2)")
	h.late = stateOf(t, pair.B)
	mustExec(t, root, "DROP TABLE app.t2")
	h.dropped = last(t, pair.B, h.late.executed)
	mustExec(t, root, "DELETE FROM app.other WHERE id = 1", "INSERT INTO app.t0 (v) VALUES ('the last')")
	h.end = stateOf(t, pair.B)
	awaitArchived(t, h.location, pair.B)
	stopArchiver()
	if err := pair.A.Ops.WaitApplied(t.Context(), gtid.MustParse(h.end.executed), time.Minute); err != nil {
		t.Fatal(err)
	}
	h.second = takeFrom(t, pair.A, h.location)
	return h
}

// vault serves what leads to a target.
func (h history) vault(t *testing.T, target jobapi.VaultTarget) vault {
	t.Helper()
	v := newVault(t, h.root)
	v.request.Replay = true
	v.request.Target = target
	return v
}

// TestARestoreToAnyMoment restores what a pair that changed its roles had at some moments, from a
// backup that was taken under writes and the archive.
func TestARestoreToAnyMoment(t *testing.T) {
	h := newHistory(t)
	if out := mustRun(t, "--store", h.location, "archive", "list"); !strings.Contains(out, "from backup "+h.first+" on") {
		t.Errorf("what can be restored:\n%s", out)
	}
	h.refuses(t)
	member := restoredTo(t, h.vault(t, jobapi.VaultTarget{Time: h.earlyTime}))
	h.early.is(t, "to a time", member)
	before := h.vault(t, jobapi.VaultTarget{BeforeGTID: h.dropped.String()})
	h.late.is(t, "before the table was dropped", restoredTo(t, before))

	// A vault sends a server only what that lacks.
	if err := goOn(t, h.vault(t, jobapi.VaultTarget{GTID: h.late.executed}), member); err != nil {
		t.Error(err)
	}
	h.late.is(t, "up to a set", member)
	end := h.vault(t, jobapi.VaultTarget{})
	putBack := damageNewest(t, h.root)
	if err := goOn(t, end, member); err == nil || !strings.Contains(err.Error(), "not replayed") {
		t.Errorf("a damaged archive was replayed: %v", err)
	}
	early := h.vault(t, jobapi.VaultTarget{GTID: h.end.executed})
	if r := early.reportOf(early.serve(t.Context())); r.Reason != jobapi.ArchiveDamaged || !strings.Contains(r.Message, "binlog/") {
		t.Errorf("where the cut is in what is damaged: %+v", r)
	}
	putBack()
	if err := goOn(t, end, member); err != nil {
		t.Error(err)
	}
	h.end.is(t, "the end", member)
	if err := goOn(t, before, member); err == nil || !strings.Contains(err.Error(), "beyond the target") {
		t.Errorf("back in time: %v", err)
	}
}

// refuses looks what a vault says of targets that nothing leads to.
func (h history) refuses(t *testing.T) {
	t.Helper()
	const unknown = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	for name, c := range map[string]struct {
		target jobapi.VaultTarget
		reason jobapi.VaultReason
		says   string
	}{
		"the future":        {jobapi.VaultTarget{Time: "2999-01-01T00:00:00Z"}, jobapi.TargetUnreachable, "in the future; what can be restored is "},
		"before everything": {jobapi.VaultTarget{Time: "2001-01-01T00:00:00Z"}, jobapi.TargetUnreachable, "begins later; what can be restored is "},
		"no offset":         {jobapi.VaultTarget{Time: "2026-01-01T00:00:00"}, jobapi.TargetInvalid, "spec.bootstrap.backup.target.time"},
		"no such month":     {jobapi.VaultTarget{Time: "2026-13-01T00:00:00Z"}, jobapi.TargetInvalid, "spec.bootstrap.backup.target.time"},
		"half a set":        {jobapi.VaultTarget{GTID: unknown + ":1-"}, jobapi.TargetInvalid, "spec.bootstrap.backup.target.gtid"},
		"before a set":      {jobapi.VaultTarget{BeforeGTID: unknown + ":1-5"}, jobapi.TargetInvalid, "spec.bootstrap.backup.target.beforeGTID"},
		"two targets":       {jobapi.VaultTarget{Time: h.earlyTime, GTID: h.late.executed}, jobapi.TargetInvalid, "give one of"},
		"a known and an unknown GTID": {
			jobapi.VaultTarget{GTID: h.late.executed + "," + unknown + ":1"}, jobapi.TargetUnreachable, "does not have " + unknown + ":1",
		},
		"no GTID": {jobapi.VaultTarget{GTID: "77"}, jobapi.TargetInvalid, "spec.bootstrap.backup.target.gtid"},
		"an unknown GTID": {
			jobapi.VaultTarget{BeforeGTID: unknown + ":77"}, jobapi.TargetUnreachable, "does not have",
		},
	} {
		if r := (vault{}).reportOf(h.vault(t, c.target).serve(t.Context())); r.Reason != c.reason || !strings.Contains(r.Message, c.says) {
			t.Errorf("%s: %+v, want %q", name, r, c.says)
		}
	}
	dir := filepath.Join(h.root, "uid-1", "binlog")
	if err := os.Rename(dir, h.root+"-away"); err != nil {
		t.Fatal(err)
	}
	if r := (vault{}).reportOf(h.vault(t, jobapi.VaultTarget{Time: h.earlyTime}).serve(t.Context())); r.Reason != jobapi.ArchiveNotFound {
		t.Errorf("without an archive: %+v", r)
	}
	if err := os.Rename(h.root+"-away", dir); err != nil {
		t.Fatal(err)
	}
}

// goOn has a member replay what a vault serves, without a copy before it.
func goOn(t *testing.T, v vault, member *mysqldtest.Instance) error {
	t.Helper()
	files := member.TLSFiles()
	copyFile(t, files.Cert, filepath.Join(v.files, "tls.crt"))
	copyFile(t, files.Key, filepath.Join(v.files, "tls.key"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.serve(ctx) }()
	awaitListens(t, v.replayOn)
	err := replayFrom(t, v, member)
	if err != nil {
		if reset := member.Ops.ResetReplicaAll(t.Context(), true); reset != nil {
			t.Error(reset)
		}
	}
	cancel()
	if end := <-ended; end != nil {
		if r := (vault{}).reportOf(end); r.Reason != jobapi.ArchiveDamaged || !strings.Contains(r.Message, "binlog/") {
			t.Errorf("the vault reports %+v", r)
		}
	}
	return err
}

func awaitListens(t *testing.T, address string) {
	t.Helper()
	mysqldtest.Await(t, "the vault listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// damageNewest damages the newest object of the archive that has a transaction.
func damageNewest(t *testing.T, root string) (putBack func()) {
	t.Helper()
	dir := filepath.Join(root, "uid-1", "binlog")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range slices.Backward(entries) {
		path := filepath.Join(dir, entry.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), `"transactions":0`) {
			damaged := slices.Clone(content)
			damaged[len(damaged)-1] ^= 1
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Fatal("the archive has no transaction")
	return nil
}
