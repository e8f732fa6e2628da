//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// restore compares a restore with the loading of a dump.
func (b *bench) restore() {
	heading("restore into a running mysqld, and a dump that is loaded")
	id := b.lastTaken()
	want := b.rowsOf(b.passive)
	dump := filepath.Join(b.TempDir(), "dump.sql")
	b.dump(dump)
	fmt.Println("| what | seconds | CPU seconds of the tool | of mysqld |\n| --- | --- | --- | --- |")
	var ratios []float64
	for i := range b.options.runs {
		var restored, loaded time.Duration
		// A test each, whose servers go with it: the disk is to have one of them.
		b.Run(fmt.Sprint("restore ", i), func(t *testing.T) {
			one := b.on(t)
			var member *mysqldtest.Instance
			member, restored = one.restored(id)
			one.is(member, want)
		})
		b.Run(fmt.Sprint("dump ", i), func(t *testing.T) {
			one := b.on(t)
			loaded = one.load(dump, want)
		})
		if b.Failed() {
			return
		}
		ratios = append(ratios, restored.Seconds()/loaded.Seconds())
	}
	b.kept.report.atMost(0.15, times, "restore / loading a dump", ratios...)
}

// restored is a new mysqld that has taken a backup, and how long that took, until it answers.
func (b *bench) restored(id string, flags ...string) (*mysqldtest.Instance, time.Duration) {
	b.Helper()
	member := b.instance(true)
	port := mysqldtest.FreePort(b)
	tls := member.TLSFiles()
	served := b.start("--store", b.location(b.store.Endpoint, pairFolder), "serve", id, "--listen", local(port), "--user", "restore",
		"--password-file", b.path("secret"), "--tls-cert", tls.Cert, "--tls-key", tls.Key, "--identity", b.path("identity"))
	served.await(port)
	syscall.Sync()
	began := time.Now()
	err := member.Ops.CloneFrom(b.Context(), mysqlops.Donor{
		Host:     "127.0.0.1",
		Port:     port,
		User:     "restore",
		Password: mysqlops.NewSecret("secret"),
		TLS:      tls,
		Recorded: true,
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	before := cpuOf(member.PID())
	<-member.Exited()
	copied := time.Since(began)
	member.SetPassword(mysqldtest.Passwords.Root)
	member.BootWith(flags...)
	took := time.Since(began)
	used := served.interrupt()
	fmt.Printf("| restore: copied after %.1f s, and answers | %.1f | %.1f | %.1f |\n", copied.Seconds(), took.Seconds(), used.cpu.Seconds(),
		(before + cpuOf(member.PID())).Seconds())
	if err := member.Ops.ResetReplicaAll(b.Context(), true); err != nil {
		b.Fatal(err)
	}
	return member, took
}

// load has a new mysqld load a dump without its binary log and without flushing.
func (b *bench) load(dump string, want [3]int64) time.Duration {
	b.Helper()
	server := b.instance(false)
	server.Open(false)
	b.must(server.Root(), "SET GLOBAL innodb_flush_log_at_trx_commit = 0", "SET GLOBAL sync_binlog = 0")
	in, err := os.Open(dump)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	command := b.client("mysql", server, "--init-command=SET SESSION sql_log_bin = 0")
	command.Stdin = in
	syscall.Sync()
	before := cpuOf(server.PID())
	began := time.Now()
	used := b.tool(command)
	took := time.Since(began)
	fmt.Printf("| mysql loads the dump | %.1f | %.1f | %.1f |\n", took.Seconds(), used.cpu.Seconds(), (cpuOf(server.PID()) - before).Seconds())
	b.is(server, want)
	return took
}

// dump writes the passive's data as statements.
func (b *bench) dump(file string) {
	b.Helper()
	out, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	command := b.client("mysqldump", b.passive, "--single-transaction", "--set-gtid-purged=OFF", "--databases", "bench")
	command.Stdout = out
	began := time.Now()
	used := b.tool(command)
	info, err := out.Stat()
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("<!-- mysqldump: %.1f s, %.1f CPU seconds, %s -->\n", time.Since(began).Seconds(), used.cpu.Seconds(), mebibytes(info.Size()))
}

// client is one of MySQL's programs, as root of a server.
func (b *bench) client(program string, server *mysqldtest.Instance, arguments ...string) *exec.Cmd {
	b.Helper()
	options := filepath.Join(b.TempDir(), "client.cnf")
	text := fmt.Sprintf("[client]\nuser=root\npassword=%s\nsocket=%s\n", mysqldtest.Passwords.Root.Reveal(), server.Member.Socket)
	if err := os.WriteFile(options, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return exec.Command(b.bin(program), append([]string{"--defaults-file=" + options}, arguments...)...)
}

// bin is a program of the MySQL that is measured.
func (b *bench) bin(program string) string {
	return filepath.Join(mysqldtest.Require(b).Dir, program)
}

// rowsOf counts what a server has.
func (b *bench) rowsOf(server *mysqldtest.Instance) (out [3]int64) {
	b.Helper()
	const query = "SELECT (SELECT COUNT(*) FROM bench.data), (SELECT SUM(CRC32(CONCAT_WS(',', id, n, s))) FROM bench.hot)," +
		" (SELECT COALESCE(SUM(CRC32(CONCAT_WS(',', id, account, s))), 0) FROM bench.journal)"
	if err := server.Root().QueryRow(query).Scan(&out[0], &out[1], &out[2]); err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *bench) is(server *mysqldtest.Instance, want [3]int64) {
	b.Helper()
	if got := b.rowsOf(server); got != want {
		b.Errorf("the server has %v, want %v: what was measured is not a restore", got, want)
	}
}
