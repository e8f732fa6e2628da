package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }

// run runs the program and returns its standard output.
func run(ctx context.Context, args ...string) (string, error) {
	command := newCommand()
	var out bytes.Buffer
	command.SetArgs(args)
	command.SetOut(&out)
	command.SetErr(&bytes.Buffer{})
	err := command.ExecuteContext(ctx)
	return out.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t.Context(), args...)
	if err != nil {
		t.Fatalf("backup %q: %v\n%s", args, err, out)
	}
	return out
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// writeFile makes a file that only this test reads.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fill makes tables with some mebibytes, so that a backup has several objects.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	for table := range 3 {
		mustExec(t, db, fmt.Sprintf("CREATE TABLE app.t%d (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(255), w VARBINARY(8000))", table))
		insert := fmt.Sprintf("INSERT INTO app.t%d (v, w) VALUES (UUID(), RANDOM_BYTES(1000))", table)
		mustExec(t, db, insert)
		for range 11 {
			mustExec(t, db, fmt.Sprintf("INSERT INTO app.t%d (v, w) SELECT UUID(), CONCAT(RANDOM_BYTES(1000), LEFT(w, 1000)) FROM app.t%d LIMIT 1000", table, table))
		}
	}
}

// keepWriting changes rows, and tables as well, until stop is called; stop waits for the last write.
func keepWriting(t *testing.T, db *sql.DB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			statements := []string{
				fmt.Sprintf("INSERT INTO app.t%d (v) VALUES ('%d')", i%3, i),
				fmt.Sprintf("UPDATE app.t%d SET v = CONCAT('u', id) WHERE id %% 50 = %d", i%3, i%50),
				fmt.Sprintf("CREATE TABLE app.d%d (id INT PRIMARY KEY)", i),
				fmt.Sprintf("INSERT INTO app.d%d VALUES (1), (2)", i),
				fmt.Sprintf("RENAME TABLE app.d%d TO app.r%d", i, i),
			}
			if i%2 == 0 {
				statements = append(statements, fmt.Sprintf("DROP TABLE app.r%d", i))
			}
			for _, statement := range statements {
				if _, err := db.ExecContext(context.WithoutCancel(ctx), statement); err != nil {
					t.Errorf("%s: %v", statement, err)
					return
				}
			}
		}
	})
	return func() { cancel(); group.Wait() }
}

// takeFrom backs a server up and returns the backup's ID.
func takeFrom(t *testing.T, server *mysqldtest.Instance, location string, more ...string) string {
	t.Helper()
	tls := server.TLSFiles()
	args := []string{
		"--store", location, "take",
		"--address", net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Member.AdminPort)),
		"--user", mysqlops.UserClone,
		"--password-file", writeFile(t, "password", mysqldtest.Passwords.Clone.Reveal()+"\n"),
		"--tls-ca", tls.CA, "--tls-cert", tls.Cert, "--tls-key", tls.Key,
	}
	return strings.TrimSpace(mustRun(t, append(args, more...)...))
}

// restore serves a backup to a fresh server and starts that on it.
func restore(t *testing.T, location, id string, more ...string) *mysqldtest.Instance {
	t.Helper()
	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Bare: true})
	port := mysqldtest.FreePort(t)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tls := member.TLSFiles()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	args := []string{
		"--store", location, "serve", id,
		"--listen", address,
		"--user", "restore",
		"--password-file", writeFile(t, "password", "secret"),
		"--tls-cert", tls.Cert, "--tls-key", tls.Key,
	}
	go func() {
		_, err := run(ctx, append(args, more...)...)
		served <- err
	}()
	mysqldtest.Await(t, "serve listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	mustExec(t, member.Root(), "SET GLOBAL clone_autotune_concurrency = OFF", "SET GLOBAL clone_max_concurrency = 1")
	err := member.Ops.CloneFrom(ctx, mysqlops.Donor{
		Host:     "127.0.0.1",
		Port:     port,
		User:     "restore",
		Password: mysqlops.NewSecret("secret"),
		TLS:      tls,
	}, nil)
	cancel()
	if serveErr := <-served; serveErr != nil {
		t.Errorf("serve ended with %v", serveErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-member.Exited()
	member.SetPassword(mysqldtest.Passwords.Root)
	member.Boot()
	if err := member.Ops.ResetReplicaAll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return member
}

// checksums are those of all tables of the application.
func checksums(t *testing.T, server *mysqldtest.Instance) map[string]int64 {
	t.Helper()
	db := server.Root()
	rows, err := db.QueryContext(t.Context(), "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sums := map[string]int64{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		var sum sql.NullInt64
		var qualified string
		if err := db.QueryRowContext(t.Context(), "CHECKSUM TABLE app."+name).Scan(&qualified, &sum); err != nil || !sum.Valid {
			t.Fatalf("checksum of %s: %v", name, err)
		}
		sums[name] = sum.Int64
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

func executed(t *testing.T, server *mysqldtest.Instance) string {
	t.Helper()
	status, err := server.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Executed.String()
}

func TestBackupOfAQuietServerIsEqual(t *testing.T) {
	primary := mysqldtest.Start(t, mysqldtest.Options{})
	primary.Open(false)
	fill(t, primary.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	location := "file://" + t.TempDir()
	id := takeFrom(t, primary, location, "--recipient", identity.Recipient().String())
	if out := mustRun(t, "--store", location, "list"); !strings.Contains(out, id) {
		t.Errorf("list has no %s:\n%s", id, out)
	}
	mustRun(t, "--store", location, "verify", id)
	restored := restore(t, location, id, "--identity", writeFile(t, "identity", identity.String()))
	if diff := cmp.Diff(executed(t, primary), executed(t, restored)); diff != "" {
		t.Errorf("gtid_executed (-server +restored):\n%s", diff)
	}
	sums := checksums(t, primary)
	if diff := cmp.Diff(sums, checksums(t, restored)); diff != "" || len(sums) < 3 {
		t.Errorf("%d tables (-server +restored):\n%s", len(sums), diff)
	}
}

func TestBackupUnderWritesIsConsistent(t *testing.T) {
	primary := mysqldtest.Start(t, mysqldtest.Options{})
	primary.Open(false)
	client := primary.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	fill(t, client)
	before := executed(t, primary)
	location := "file://" + t.TempDir()
	stop := keepWriting(t, client)
	id := takeFrom(t, primary, location)
	stop()
	if before == executed(t, primary) {
		t.Fatal("nothing was written during the backup")
	}
	mustRun(t, "--store", location, "verify", id)
	restored := restore(t, location, id)
	// What the server wrote after the backup's moment follows by replication, if and only if
	// the restored data is exactly what its gtid_executed says.
	restored.Follow(primary)
	status, err := primary.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.Ops.WaitApplied(t.Context(), status.Executed, time.Minute); err != nil {
		t.Fatal(err)
	}
	sums := checksums(t, primary)
	if diff := cmp.Diff(sums, checksums(t, restored)); diff != "" || len(sums) < 4 {
		t.Errorf("%d tables (-server +restored):\n%s", len(sums), diff)
	}
	verifyNamesAFlippedByte(t, location, id)
}

// verifyNamesAFlippedByte damages each kind of object of a backup.
func verifyNamesAFlippedByte(t *testing.T, location, id string) {
	t.Helper()
	dir := filepath.Join(strings.TrimPrefix(location, "file://"), "backups", id)
	objects := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		objects++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content[len(content)/2] ^= 0x10
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		key, err := filepath.Rel(filepath.Dir(filepath.Dir(dir)), path)
		if err != nil {
			return err
		}
		if out, err := run(t.Context(), "--store", location, "verify", id); err == nil || !strings.Contains(out, key) {
			t.Errorf("verify of a damaged %s: %v\n%s", key, err, out)
		}
		content[len(content)/2] ^= 0x10
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if objects < 6 {
		t.Errorf("the backup has %d objects only", objects)
	}
	mustRun(t, "--store", location, "verify", id)
}
