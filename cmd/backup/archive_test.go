package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestArchiveRefusesBadInput(t *testing.T) {
	location := "file://" + t.TempDir()
	secret := writeFile(t, "password", "secret")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"archive"}, "--member"},
		{[]string{"archive", "--member", "127.0.0.1:1", "--member", "127.0.0.1:2", "--alone"}, "--alone"},
		{[]string{"archive", "--member", "127.0.0.1:1", "--flush-interval", "0s"}, "--flush-interval"},
		{[]string{"archive", "--member", "127.0.0.1"}, "HOST:PORT"},
		{[]string{"archive", "--member", "127.0.0.1:1"}, "--password-file"},
		{[]string{"archive", "--member", "127.0.0.1:1", "--password-file", secret}, "--tls-ca"},
		{[]string{"archive", "serve", "--to-time", "2026-01-02T03:04:05"}, "no offset"},
		{[]string{"archive", "serve", "--to-gtid", "7"}, "target.gtid"},
		{[]string{"archive", "serve", "--password-file", secret}, "--tls-cert"},
	} {
		if _, err := run(t.Context(), append([]string{"--store", location}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	if out := mustRun(t, "--store", location, "archive", "list"); !strings.Contains(out, "0 objects") {
		t.Errorf("list of an empty archive:\n%s", out)
	}
	mustRun(t, "--store", location, "archive", "verify")
}

// TestBackupAndArchiveLeadToTheEnd restores a backup that was taken under writes, and replays
// the archive on it, as docs/backup.md says it.
func TestBackupAndArchiveLeadToTheEnd(t *testing.T) {
	primary := mysqldtest.Start(t, mysqldtest.Options{})
	primary.Open(false)
	mustExec(t, primary.Root(),
		"CREATE USER dbpair_archive IDENTIFIED BY 'secret' REQUIRE SSL",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN ON *.* TO dbpair_archive")
	client := primary.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	location := "file://" + t.TempDir()
	archiving, end := context.WithCancel(t.Context())
	archived := make(chan error, 1)
	secret := writeFile(t, "password", "secret")
	go func() {
		_, err := run(archiving, "--store", location, "archive", "--alone", "--flush-interval", "100ms",
			"--member", net.JoinHostPort("localhost", strconv.Itoa(primary.Member.AdminPort)),
			"--password-file", secret, "--tls-ca", primary.TLSFiles().CA)
		archived <- err
	}()
	fill(t, client)
	stop := keepWriting(t, client)
	id := takeFrom(t, primary, location)
	stop()
	mustExec(t, client, "INSERT INTO app.t1 (v) VALUES ('the last')")
	want := executed(t, primary)
	last := want[strings.LastIndexAny(want, ":-")+1:]
	mysqldtest.Await(t, "everything is archived", func() bool {
		return strings.Contains(mustRun(t, "--store", location, "archive", "list"), "-"+last+"\n")
	})
	end()
	if err := <-archived; err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--store", location, "archive", "verify")

	restored := restore(t, location, id)
	if executed(t, restored) == want {
		t.Fatal("the backup alone leads to the end")
	}
	port := mysqldtest.FreePort(t)
	serving, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	tls := restored.TLSFiles()
	go func() {
		_, err := run(serving, "--store", location, "archive", "serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port),
			"--password-file", secret, "--tls-cert", tls.Cert, "--tls-key", tls.Key)
		served <- err
	}()
	_, err := restored.Ops.ConfigureChannel(t.Context(), mysqlops.Source{
		Host:     "127.0.0.1",
		Port:     port,
		User:     "dbpair_archive",
		Password: mysqlops.NewSecret("secret"),
		TLS:      tls,
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	mysqldtest.Await(t, "serve listens", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if err := restored.Ops.StartApplier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := restored.Ops.StartReceiver(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored.AwaitStatus("everything is replayed", func(s mysqlops.Status) bool { return s.Executed.String() == want })
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	sums := checksums(t, primary)
	if diff := cmp.Diff(sums, checksums(t, restored)); diff != "" || len(sums) < 4 {
		t.Errorf("%d tables (-primary +restored):\n%s", len(sums), diff)
	}
}
