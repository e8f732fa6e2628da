package agent_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/pair"
)

// backedUp takes a backup of an open member, and serves it.
func (w *world) backedUp(m *member) agentapi.ForeignDonor {
	t := w.t
	t.Helper()
	root := m.db("root")
	for _, statement := range []string{"CREATE USER donor IDENTIFIED BY 'donor-secret'", "GRANT BACKUP_ADMIN ON *.* TO donor"} {
		if err := m.exec(root, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	all := &objects{all: map[string][]byte{}}
	id := backup.NewID(time.Now(), [4]byte{1})
	_, err := backup.Take(t.Context(), all, recorded{donor: agentapi.ForeignDonor{
		Host:     "127.0.0.1",
		Port:     m.ports["mysql"],
		User:     "donor",
		Password: "donor-secret",
		CA:       string(w.ca.CertPEM),
	}}, backup.TakeOptions{ID: id, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	certificates := t.TempDir()
	if err := mysqldtest.WriteCerts(certificates); err != nil {
		t.Fatal(err)
	}
	vault, _ := served(t, all, id, certificates)
	return vault
}

// rotateBoth changes every password of the pair, and waits until both members have the new ones only.
func (w *world) rotateBoth(suffix string) {
	w.t.Helper()
	for _, m := range w.members {
		for _, name := range []string{"root", "replication", "clone", "monitor", "checksum", "repair", "app"} {
			writeFile(w.t, m.path("internal", name), name+suffix)
		}
	}
	chown(w.t, w.dir)
	for _, m := range w.members {
		w.await("root of "+string(m.name)+" has its new password", patience, func() bool { return m.knows("root", "root"+suffix) == nil })
	}
	root := w.root(w.members[0], suffix)
	w.await("no account has a former password", patience, func() bool { return w.formerPasswords(root) == 0 })
}

// root is a pool of sessions of root, whose password was changed.
func (w *world) root(m *member, suffix string) *sql.DB {
	w.t.Helper()
	db, err := m.loginAs("root", "root"+suffix, "unix", m.path("run", "mysqld.sock"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// accounts are all accounts with their passwords.
func accounts(t *testing.T, db *sql.DB) []string {
	t.Helper()
	const query = "SELECT CONCAT(User, '@', Host, ' ', plugin, ' ', HEX(authentication_string), ' ', ssl_type, ' '," +
		" COALESCE(User_attributes, '')) FROM mysql.user ORDER BY User, Host"
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		// root is made again with the same password, and another salt, before it is known whether it changed.
		if !strings.HasPrefix(one, "root@") && !strings.HasPrefix(one, "mysql.") {
			all = append(all, one)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// binaryLogs is their number.
func binaryLogs(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// givenUpFor says in the Lease that the passive's data is given up.
func (w *world) givenUpFor(m, primary *member) (target pair.DataID) {
	w.t.Helper()
	w.write(func(r *authority.Record) {
		r.Ledger = authority.Ledger{
			Version: r.Ledger.Version + 1,
			State:   authority.Solo,
			First:   primary.name,
		}
		target = r.Data[m.name]
		delete(r.Data, m.name)
	})
	if _, err := primary.client.ReadLease(w.t.Context(), w.head()); err != nil {
		w.t.Fatal(err)
	}
	return target
}

// seedByBackup orders the copy of a backup whenever the member has none to make, also after a crash.
func (w *world) seedByBackup(m, primary *member, c agentapi.SeedCommand, what string, fine func(agentapi.State) bool) {
	w.t.Helper()
	c.Donor = primary.name
	c.DonorHost = "127.0.0.1"
	w.insist(what, func() bool {
		s, err := m.client.State(w.t.Context(), 0, 0, false)
		if err != nil || fine(s) {
			return err == nil
		}
		if s.Phase != agentapi.PhaseSeeding {
			c.Command = w.head()
			_, _ = m.client.Seed(w.t.Context(), c)
		}
		return false
	})
}

// A passive that copies a backup has the present rows and the present accounts, though every password was
// changed twice since the backup, and also when its agent dies on the way. When the primary cannot send what
// followed the backup any more, the copy fails and says so, and a copy of the primary is possible.
func TestAPassiveIsCopiedFromABackup(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	for _, statement := range []string{
		"CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "INSERT INTO app.t (v) VALUES (1), (2), (3)",
	} {
		if err := a.exec(a.db("root"), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	vault := w.backedUp(a)
	w.rotateBoth("-first")
	w.rotateBoth("-second")
	root := w.root(a, "-second")
	for _, statement := range []string{
		"CREATE TABLE app.blobs (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO app.blobs VALUES (1, RANDOM_BYTES(1000))",
		"INSERT INTO app.t (v) VALUES (4)", "CREATE USER late IDENTIFIED BY 'late-secret'", "GRANT SELECT ON app.* TO late",
	} {
		if err := a.exec(root, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}

	target := w.givenUpFor(b, a)
	b.kill()
	ends := b.keepAlive("DBPAIR_FAILPOINTS=in-replay=kill,after-replay=kill")
	copied := func(data pair.DataID) func(agentapi.State) bool {
		return func(s agentapi.State) bool {
			return s.DataID == data && s.Phase == agentapi.PhaseClosed && s.Mysqld.Running
		}
	}
	w.seedByBackup(b, a, agentapi.SeedCommand{
		Target: target,
		DataID: "data-2",
		Backup: &vault,
	}, "the backup is copied", copied("data-2"))
	if n := ends(); n != 2 {
		t.Errorf("the agent died %d times", n)
	}
	if err := b.knows("root", "root-second"); err != nil {
		t.Errorf("root with the present password, before the member follows: %v", err)
	}
	for _, password := range []string{"root-secret", "root-first"} {
		if err := b.knows("root", password); err == nil {
			t.Errorf("root logs in with the former password %q", password)
		}
	}
	w.write(func(r *authority.Record) { r.Data[b.name] = "data-2" })
	w.join(b, a)
	if err := a.exec(root, "INSERT INTO app.t (v) VALUES (5)"); err != nil {
		t.Fatal(err)
	}
	replica := w.root(b, "-second")
	w.await("the row is on the passive", patience, func() bool {
		var n int
		return replica.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM app.t").Scan(&n) == nil && n == 5
	})
	if diff := cmp.Diff(sums(t, root), sums(t, replica)); diff != "" {
		t.Errorf("the tables (-primary +passive):\n%s", diff)
	}
	want := accounts(t, root)
	if diff := cmp.Diff(want, accounts(t, replica)); diff != "" || !slices.ContainsFunc(want, func(one string) bool {
		return strings.HasPrefix(one, "late@")
	}) {
		t.Errorf("the accounts (-primary +passive):\n%s", diff)
	}
	w.rotateBoth("-third") // which the primary does once the passive acknowledges

	root = w.root(a, "-third")
	var file string
	if err := a.exec(root, "FLUSH BINARY LOGS"); err != nil {
		t.Fatal(err)
	}
	const newest = "SELECT SUBSTRING_INDEX(JSON_UNQUOTE(LOCAL->'$.binary_log_file'), '/', -1) FROM performance_schema.log_status"
	if err := root.QueryRowContext(t.Context(), newest).Scan(&file); err != nil {
		t.Fatal(err)
	}
	target = w.givenUpFor(b, a)
	w.await("the primary has purged what followed the backup", patience, func() bool {
		err := a.exec(root, fmt.Sprintf("PURGE BINARY LOGS TO '%s'", file)) // keeps those that are being read
		return err == nil && binaryLogs(t, root) == 1
	})
	w.seedByBackup(b, a, agentapi.SeedCommand{
		Target: target,
		DataID: "data-3",
		Backup: &vault,
	}, "the copy fails", func(s agentapi.State) bool {
		return s.DataID == "" && strings.Contains(problem(s, agentapi.ProblemSeedFailed), "did not catch up with shop-0")
	})
	b.awaitPhase(agentapi.PhaseVoid, patience)
	w.seed(b, a, "data-3")
	w.join(b, a)
}
