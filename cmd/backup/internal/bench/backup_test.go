//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const (
	// pairFolder is the one in the bucket for backups, and for the archive that is replayed.
	pairFolder = "prod/ns.shop/uid-1"

	seconds  = "s"
	times    = "×"
	sizeUnit = "MiB"
)

// location is the URL of the pair's folder, through a proxy or not.
func (b *bench) location(endpoint, folder string) string {
	return s3test.Location(endpoint, s3test.Bucket, folder)
}

// take has the program take an encrypted backup of the passive.
func (b *bench) take() (id string, took time.Duration, used usage) {
	b.Helper()
	tls := b.passive.TLSFiles()
	began := time.Now()
	p := b.start("--store", b.location(b.store.Endpoint, pairFolder), "take",
		"--address", local(b.passive.Member.AdminPort), "--user", mysqlops.UserClone, "--password-file", b.path("password"),
		"--tls-ca", tls.CA, "--tls-cert", tls.Cert, "--tls-key", tls.Key, "--recipient", b.identity.Recipient().String())
	used = p.wait()
	return strings.TrimSpace(p.out.String()), time.Since(began), used
}

// lastTaken is a backup of the idle pair.
func (b *bench) lastTaken() string {
	b.Helper()
	if b.kept.taken == "" {
		b.sync()
		b.kept.taken, _, _ = b.take()
	}
	return b.kept.taken
}

func (b *bench) stored(id string) string {
	return filepath.Join(b.store.Dir(pairFolder), "backups", id)
}

// backup compares a backup with a local copy that is compressed. What was taken before is removed, so that the disk has
// one of both.
func (b *bench) backup() {
	heading("backup of the idle passive, and CLONE LOCAL with tar and zstd -1 -T0")
	fmt.Println("| what | seconds | CPU seconds of the tool | of the passive's mysqld | of the S3 server | memory | stored | disk beyond the store |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- |")
	var ratios, memory, disk []float64
	for range b.options.runs {
		if b.kept.taken != "" {
			_ = os.RemoveAll(b.stored(b.kept.taken))
		}
		syscall.Sync()
		ofPassive := cpuOf(b.passive.PID())
		ofStore := cpuOf(b.store.PID())
		before := sizeOf(b, b.passive.Dir)
		id, took, used := b.take()
		b.kept.taken = id
		beyond := max(sizeOf(b, b.passive.Dir)-before, 0) + used.written
		fmt.Printf("| backup, encrypted, S3 over TLS | %.1f | %.1f | %.1f | %.1f | %s | %s | %s |\n", took.Seconds(), used.cpu.Seconds(),
			(cpuOf(b.passive.PID()) - ofPassive).Seconds(), (cpuOf(b.store.PID()) - ofStore).Seconds(), mebibytes(used.memory),
			mebibytes(sizeOf(b, b.stored(id))), mebibytes(beyond))
		other := b.copyLocal()
		ratios = append(ratios, took.Seconds()/other.Seconds())
		memory = append(memory, float64(used.memory>>20))
		disk = append(disk, float64(beyond>>20))
	}
	b.kept.report.atMost(1.3, times, "backup / CLONE LOCAL, tar, zstd -1 -T0", ratios...)
	b.kept.report.atMost(300, sizeUnit, "memory of the backup", memory...)
	b.kept.report.atMost(0, sizeUnit, "disk that the backup takes beyond the store", disk...)
}

// copyLocal is what a backup is compared with.
func (b *bench) copyLocal() time.Duration {
	b.Helper()
	dir, err := mysqldtest.MakeDir()
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	syscall.Sync()
	copied := filepath.Join(dir, "copy")
	packed := filepath.Join(dir, "copy.tar.zst")
	ofPassive := cpuOf(b.passive.PID())
	began := time.Now()
	b.must(b.onPassive, fmt.Sprintf("CLONE LOCAL DATA DIRECTORY = '%s'", copied))
	cloned := time.Since(began)
	used := b.tool(exec.Command("tar", "-C", copied, "-I", "zstd -1 -T0", "-cf", packed, "."))
	took := time.Since(began)
	fmt.Printf("| CLONE LOCAL (%.1f s), tar, zstd -1 -T0 | %.1f | %.1f | %.1f | | | %s | %s |\n", cloned.Seconds(), took.Seconds(),
		used.cpu.Seconds(), (cpuOf(b.passive.PID()) - ofPassive).Seconds(), mebibytes(sizeOf(b, packed)), mebibytes(sizeOf(b, copied)))
	return took
}

// commits measures clients of the primary beside backups of its passive, in turns with clients alone.
func (b *bench) commits() {
	heading("8 clients of the primary with a pause of 5 ms, alone and beside backups of the passive")
	b.lastTaken() // the first one reads files that nobody has read yet
	fmt.Println("| what | seconds | commits/s | p99 | longest | passive behind: median | p99 | longest |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- |")
	var ratios, behind []float64
	wait := func() { time.Sleep(b.options.length) }
	alone := b.paced("alone", wait)
	for range b.options.runs {
		taken := 0
		var longest time.Duration
		beside := b.paced("beside backups", func() {
			for began := time.Now(); taken == 0 || time.Since(began) < b.options.length; taken++ {
				id, took, _ := b.take()
				longest = max(longest, took)
				_ = os.RemoveAll(b.stored(id))
			}
		})
		again := b.paced("alone, again", wait)
		fmt.Printf("<!-- %d backups, the longest %s -->\n", taken, short(longest))
		ratios = append(ratios, 2*beside.perSecond/(alone.perSecond+again.perSecond))
		behind = append(behind, beside.behind.Seconds())
		alone = again
	}
	b.kept.report.atLeast(0.95, times, "commits beside backups / alone", ratios...)
	b.kept.report.atMost(1, seconds, "passive behind beside backups, p99", behind...)
}

// pace is what clients had.
type pace struct {
	perSecond float64
	behind    time.Duration
}

func (b *bench) paced(what string, happens func()) pace {
	b.Helper()
	const most = 0.99
	var lags []time.Duration
	done := b.during(clients{count: 8, pause: 5 * time.Millisecond}, func() { lags = b.pulse(happens) })
	fmt.Printf("| %s | %.0f | %.0f | %s | %s | %s | %s | %s |\n", what, done.length.Seconds(), done.perSecond(), short(percentile(done.took, most)),
		short(percentile(done.took, 1)), short(percentile(lags, 0.5)), short(percentile(lags, most)), short(percentile(lags, 1)))
	return pace{
		perSecond: done.perSecond(),
		behind:    percentile(lags, most),
	}
}
