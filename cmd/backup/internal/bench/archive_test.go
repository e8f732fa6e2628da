//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/s3test"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

const (
	flushInterval = 5 * time.Second
	// lagGoal is how old a transaction may be that is not in the store.
	lagGoal = 6 * time.Second
)

// archive runs an archiver of the pair, until it is interrupted.
func (b *bench) archive(endpoint, folder string) *process {
	b.Helper()
	args := []string{
		"--store", b.location(endpoint, folder), "archive", "--flush-interval", flushInterval.String(),
		"--password-file", b.path("secret"), "--tls-ca", b.primary.TLSFiles().CA, "--recipient", b.identity.Recipient().String(),
	}
	for _, member := range []*mysqldtest.Instance{b.primary, b.passive} {
		args = append(args, "--member", local(member.Member.AdminPort))
	}
	return b.start(args...)
}

// awaitArchived waits until an archiver has written everything that the primary has.
func (b *bench) awaitArchived(by *process, folder string) {
	b.Helper()
	all := b.executed(b.onPrimary)
	for deadline := time.Now().Add(time.Hour); time.Now().Before(deadline); time.Sleep(time.Second) {
		by.alive()
		runs := b.catalog(folder).Runs
		if len(runs) > 0 && runs[len(runs)-1].End().Covers(all) {
			return
		}
	}
	b.Fatal("the archive does not get to the end")
}

// archiver measures what an archiver takes, idle and beside 2,000 commits a second.
func (b *bench) archiver() {
	const (
		folder = "prod/ns.shop/archiver"
		rate   = 2000
	)
	heading(fmt.Sprintf("archiver of an idle pair, and of one with %d commits/s; members leave flushing to the operating system", rate))
	b.relax()
	b.sync()
	p := b.archive(b.store.Endpoint, folder)
	o := b.observe(folder)
	b.awaitArchived(p, folder)
	fmt.Println("| what | seconds | commits/s | millicores | memory now | memory at most | commit → store: median | p99 | worst |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	wait := func() { time.Sleep(b.options.length) }
	idle := p.millicores(wait)
	fmt.Printf("| idle | %.0f | 0 | %.1f | %s | %s | | | |\n", b.options.length.Seconds(), idle, mebibytes(status(p.pid(), "VmRSS")),
		mebibytes(status(p.pid(), "VmHWM")))
	after := time.Now()
	var done course
	busy := p.millicores(func() { done = b.during(clients{count: 32, rate: rate}, wait) })
	fmt.Printf("| busy | %.0f | %.0f | %.1f | %s | %s |", done.length.Seconds(), done.perSecond(), busy, mebibytes(status(p.pid(), "VmRSS")),
		mebibytes(status(p.pid(), "VmHWM")))
	b.awaitArchived(p, folder)
	delays := o.delays(after)
	fmt.Printf(" %s | %s | %s |\n", short(percentile(delays, 0.5)), short(percentile(delays, 0.99)), short(percentile(delays, 1)))
	o.end()
	used := p.interrupt()
	b.kept.report.atMost(5, "millicores", "archiver, idle", idle)
	b.kept.report.atMost(50, "millicores", fmt.Sprintf("archiver, %.0f commits/s", done.perSecond()), busy)
	b.kept.report.atMost(64, sizeUnit, "memory of the archiver", float64(used.memory>>20))
}

// durable measures the time from a commit until it is in the store.
func (b *bench) durable() {
	const (
		folder = "prod/ns.shop/durable"
		rate   = 200
	)
	heading(fmt.Sprintf("from a commit until it is in the store, %d commits/s, flushInterval %s", rate, flushInterval))
	b.sync()
	p := b.archive(b.store.Endpoint, folder)
	o := b.observe(folder)
	b.awaitArchived(p, folder)
	after := time.Now()
	done := b.during(clients{count: 8, rate: rate}, func() { time.Sleep(b.options.length) })
	b.awaitArchived(p, folder)
	o.end()
	delays := o.delays(after)
	p.interrupt()
	fmt.Println("| commits/s | transactions | median | p99 | worst |\n| --- | --- | --- | --- | --- |")
	p99 := percentile(delays, 0.99)
	fmt.Printf("| %.0f | %d | %s | %s | %s |\n", done.perSecond(), len(delays), short(percentile(delays, 0.5)), short(p99), short(percentile(delays, 1)))
	b.kept.report.atMost(lagGoal.Seconds(), seconds, "commit → in the store, p99", p99.Seconds())
}

// outage has the store refuse everything for a time, under load.
func (b *bench) outage() {
	const (
		folder = "prod/ns.shop/outage"
		limit  = 5 * time.Minute
	)
	heading(fmt.Sprintf("the store refuses for %s, 200 commits/s", b.options.outage))
	b.sync()
	var refuses atomic.Bool
	endpoint := b.store.Proxy(func(w http.ResponseWriter, _ *http.Request) bool {
		if !refuses.Load() {
			return false
		}
		s3test.Refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable")
		return true
	})
	p := b.archive(endpoint, folder)
	o := b.observe(folder)
	b.awaitArchived(p, folder)
	fmt.Println("| the store | seconds | commits/s | p99 | longest | archiver, millicores | memory at most |\n| --- | --- | --- | --- | --- | --- | --- |")
	phase := func(what string, happens func()) course {
		var done course
		cores := p.millicores(func() { done = b.during(clients{count: 8, rate: 200}, happens) })
		fmt.Printf("| %s | %.0f | %.0f | %s | %s | %.1f | %s |\n", what, done.length.Seconds(), done.perSecond(), short(percentile(done.took, 0.99)),
			short(percentile(done.took, 1)), cores, mebibytes(status(p.pid(), "VmHWM")))
		return done
	}
	before := phase("is there", func() { time.Sleep(b.options.length) })
	refuses.Store(true)
	away := phase("refuses", func() { time.Sleep(b.options.outage) })
	refuses.Store(false)
	back := time.Now()
	var caughtUp time.Time
	phase("is there again", func() {
		for known := false; !known && time.Since(back) < limit; time.Sleep(time.Second) {
			caughtUp, known = o.caughtUp(back, lagGoal)
		}
	})
	if caughtUp.IsZero() {
		b.Fatalf("the archive is still more than %s behind after %s", lagGoal, limit)
	}
	b.awaitArchived(p, folder)
	o.end()
	p.interrupt()
	b.start("--store", b.location(b.store.Endpoint, folder), "archive", "verify", "--identity", b.path("identity")).wait()
	fmt.Printf("<!-- every object was read back, no gap; at most %s behind %s after the store was there again -->\n", lagGoal,
		short(caughtUp.Sub(back)))
	b.kept.report.atMost(limit.Seconds(), seconds,
		fmt.Sprintf("at most %s behind again after the store was away for %s", lagGoal, b.options.outage), caughtUp.Sub(back).Seconds())
	b.kept.report.atLeast(0.95, times,
		fmt.Sprintf("commits/s while the store is away / before (longest commit %s / %s)", short(percentile(away.took, 1)), short(percentile(before.took, 1))),
		away.perSecond()/before.perSecond())
}
