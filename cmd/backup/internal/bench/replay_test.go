//go:build bench

package bench

import (
	"fmt"
	"io"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// history is what is replayed.
type history struct {
	// backup is the one before it, end what a server has after it, and logs are its files on the primary.
	backup string
	end    gtid.Set
	rows   [3]int64
	logs   []string
}

// replay compares the archive with mysqlbinlog | mysql, for one history of small transactions.
func (b *bench) replay() {
	heading(fmt.Sprintf("replay of %d small transactions on a restored mysqld", b.options.transactions))
	h := b.history()
	var replayed, piped time.Duration
	fmt.Println("| what | seconds | transactions/s |\n| --- | --- | --- |")
	perSecond := func(took time.Duration) float64 { return float64(b.options.transactions) / took.Seconds() }
	b.Run("archive", func(t *testing.T) {
		replayed = b.on(t).replayed(h)
		fmt.Printf("| replicated from the archive | %.1f | %.0f |\n", replayed.Seconds(), perSecond(replayed))
	})
	b.Run("mysqlbinlog", func(t *testing.T) {
		piped = b.on(t).piped(h)
		fmt.Printf("| mysqlbinlog, piped into mysql | %.1f | %.0f |\n", piped.Seconds(), perSecond(piped))
	})
	if b.Failed() {
		return
	}
	b.kept.report.atMost(0.35, times, fmt.Sprintf("replay of %d transactions / mysqlbinlog, mysql", b.options.transactions), replayed.Seconds()/piped.Seconds())
}

// history takes a backup, then writes the transactions and archives them.
func (b *bench) history() history {
	b.Helper()
	b.relax()
	b.sync()
	b.must(b.onPrimary, "FLUSH BINARY LOGS")
	first := b.logs()
	h := history{}
	h.backup, _, _ = b.take()
	began := time.Now()
	b.during(clients{count: 32, limit: b.options.transactions}, nil)
	b.sync()
	h.end = b.executed(b.onPrimary)
	h.rows = b.rowsOf(b.primary)
	h.logs = b.logs()[len(first)-1:]
	fmt.Printf("<!-- written and replicated in %s -->\n", time.Since(began).Round(time.Second))
	began = time.Now()
	p := b.archive(b.store.Endpoint, pairFolder)
	b.awaitArchived(p, pairFolder)
	used := p.interrupt()
	fmt.Printf("<!-- archived in %.1f s, with %.1f CPU seconds and %s -->\n", time.Since(began).Seconds(), used.cpu.Seconds(), mebibytes(used.memory))
	return h
}

// logs are the files of the primary's binary log.
func (b *bench) logs() (files []string) {
	b.Helper()
	rows, err := b.onPrimary.Query("SHOW BINARY LOGS")
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, size, encrypted string
		if err := rows.Scan(&name, &size, &encrypted); err != nil {
			b.Fatal(err)
		}
		files = append(files, b.primary.Member.DataDir+"/"+name)
	}
	if err := rows.Err(); err != nil || len(files) == 0 {
		b.Fatalf("the binary logs: %d files, %v", len(files), err)
	}
	return files
}

// replayed restores a server and has it replay the archive, as an agent does it.
func (b *bench) replayed(h history) time.Duration {
	b.Helper()
	member, _ := b.restored(h.backup, mysqlops.ReplayFlags()...)
	port := mysqldtest.FreePort(b)
	tls := member.TLSFiles()
	served := b.start("--store", b.location(b.store.Endpoint, pairFolder), "archive", "serve", "--listen", local(port), "--user", "replay",
		"--password-file", b.path("secret"), "--tls-cert", tls.Cert, "--tls-key", tls.Key, "--identity", b.path("identity"))
	served.await(port)
	syscall.Sync()
	began := time.Now()
	err := member.Ops.ReplayFrom(b.Context(), mysqlops.Source{
		Host:     "127.0.0.1",
		Port:     port,
		User:     "replay",
		Password: mysqlops.NewSecret("secret"),
		TLS:      tls,
	}, nil)
	took := time.Since(began)
	if err != nil {
		b.Fatal(err)
	}
	used := served.interrupt()
	fmt.Printf("<!-- the source of the replay: %.1f CPU seconds, %s -->\n", used.cpu.Seconds(), mebibytes(used.memory))
	b.ends(member, h)
	return took
}

// piped restores a server and has it execute what mysqlbinlog prints. It leaves flushing to the operating system, too.
func (b *bench) piped(h history) time.Duration {
	b.Helper()
	member, _ := b.restored(h.backup)
	member.Open(false)
	b.must(member.Root(), "SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
	read := exec.Command(b.bin("mysqlbinlog"), slices.Concat([]string{"--no-defaults"}, h.logs)...)
	execute := b.client("mysql", member)
	in, out := io.Pipe()
	read.Stdout = out
	execute.Stdin = in
	syscall.Sync()
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		err := read.Run()
		ended <- err
		_ = out.CloseWithError(err)
	}()
	b.tool(execute)
	took := time.Since(began)
	if err := <-ended; err != nil {
		b.Fatalf("mysqlbinlog: %v", err)
	}
	b.ends(member, h)
	return took
}

// ends insists that a server has exactly the history.
func (b *bench) ends(server *mysqldtest.Instance, h history) {
	b.Helper()
	if got := b.executed(server.Root()); !got.Equal(h.end) {
		b.Errorf("the server has executed %s, want %s", got, h.end)
	}
	b.is(server, h.rows)
}
