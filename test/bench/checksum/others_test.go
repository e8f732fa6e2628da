//go:build bench

package checksum

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/tablesql"
)

// percona measures pt-table-checksum as it is meant to be run: it knows the replica (by a
// table of addresses, since no port of a test is the usual one), waits for it and compares.
// Where it cannot do that, it is measured without, until the passive has applied it.
func (b *bench) percona(own time.Duration) {
	program := os.Getenv("PT_TABLE_CHECKSUM")
	if program == "" {
		program, _ = exec.LookPath("pt-table-checksum")
	}
	if program == "" {
		fmt.Println("pt-table-checksum is not there (PT_TABLE_CHECKSUM): not measured")
		return
	}
	dsn := func(socket string) string {
		return fmt.Sprintf("S=%s,u=root,p=%s", socket, mysqldtest.Passwords.Root.Reveal())
	}
	must(b.T, b.onA, "CREATE TABLE bench.dsns (id INT AUTO_INCREMENT PRIMARY KEY, parent_id INT, dsn VARCHAR(255) NOT NULL)",
		"INSERT INTO bench.dsns (dsn) VALUES ('"+dsn(b.members.B.Member.Socket)+"')")
	b.sync()
	here := dsn(b.members.A.Member.Socket)
	replica := "--recursion-method=dsn=" + here + ",D=bench,t=dsns"
	for _, one := range []struct {
		what string
		args []string
	}{
		{"pt-table-checksum", []string{replica}},
		// It reads the plan's rows from a form of EXPLAIN that is not the server's default any
		// more, finds none, and makes one chunk of every table.
		{"pt-table-checksum that is helped to make chunks", []string{replica, "--set-vars=explain_format=TRADITIONAL"}},
		{"pt-table-checksum that does not look for the replica", []string{"--recursion-method=none"}},
	} {
		out := ""
		err := error(nil)
		fmt.Print("\n| what, on an idle pair | seconds | CPU seconds, primary | passive | client |\n| --- | --- | --- | --- | --- |\n")
		took := b.measure(one.what+", until the passive has applied it", func() error {
			out, err = b.runPercona(program, here, one.args)
			b.sync()
			return nil
		})
		fmt.Printf("\n%v\n```\n%s\n```\n\n%s / comparison: %.2f\n", err, tail(out), one.what, took.Seconds()/own.Seconds())
	}
}

func (b *bench) runPercona(program, here string, more []string) (string, error) {
	args := append([]string{"--tables=bench.narrow,bench.wide", "--no-check-binlog-format", "--no-check-replication-filters",
		"--no-check-plan", "--no-version-check"}, more...)
	out, err := exec.CommandContext(b.Context(), program, append(args, here)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// oneSide is what one member does in a comparison, by as many sessions as there are
// processors and with the other member at rest: a pair whose members have machines of their
// own.
func (b *bench) oneSide(sessions int) error {
	member, err := tablesql.Connect(b.endpoint(b.members.A, "shop-0"), "bench")
	if err != nil {
		return err
	}
	defer member.Close()
	for _, one := range b.tables {
		var group errgroup.Group
		var next atomic.Int64
		for range sessions {
			group.Go(func() error {
				s, err := member.Session(b.Context())
				if err != nil {
					return err
				}
				loaded, err := tablesql.Load(b.Context(), s, tablesql.TableName{Schema: "bench", Name: one.name})
				for err == nil {
					low := (next.Add(1) - 1) * checksum.DefaultChunkRows
					if low >= int64(one.rows) {
						return nil
					}
					var query string
					if query, err = loaded.ChunkDigest(fmt.Sprintf("(id > %d) AND (id <= %d)", low, low+checksum.DefaultChunkRows)); err == nil {
						err = s.Rows(b.Context(), query, func([]sql.RawBytes) error { return nil })
					}
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("digests of %s: %w", one.name, err)
		}
	}
	return nil
}

func tail(text string) string { return text[max(0, len(text)-1200):] }
