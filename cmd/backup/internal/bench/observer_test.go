//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/gtid"
)

// observer notes when transactions of the primary were committed, and when objects of an archive came to be in
// the store. The transactions of a server are numbered from 1 on without holes.
type observer struct {
	b      *bench
	folder string
	server gtid.ServerUUID
	stop   context.CancelFunc
	group  sync.WaitGroup

	mu sync.Mutex
	// commits have ascending numbers and times.
	commits []mark
	// seen is when an object was there first, by its name.
	seen map[string]time.Time
}

// mark is how many transactions the primary had committed at a time.
type mark struct {
	at     time.Time
	number uint64
}

// observe begins to note, until end is called.
func (b *bench) observe(folder string) *observer {
	b.Helper()
	var uuid string
	if err := b.onPrimary.QueryRow("SELECT @@GLOBAL.server_uuid").Scan(&uuid); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	o := &observer{
		b:      b,
		folder: folder,
		server: gtid.ServerUUID(uuid),
		stop:   cancel,
		seen:   map[string]time.Time{},
	}
	o.note()
	b.Cleanup(o.end)
	o.group.Go(func() { o.every(ctx, o.note) })
	o.group.Go(func() { o.every(ctx, o.look) })
	return o
}

func (o *observer) end() {
	o.stop()
	o.group.Wait()
}

func (o *observer) every(ctx context.Context, do func()) {
	const pause = 10 * time.Millisecond
	for ctx.Err() == nil {
		do()
		time.Sleep(pause)
	}
}

// note counts what is committed. The time is that before the question: no transaction looks younger than it is.
func (o *observer) note() {
	at := time.Now()
	all, err := executed(o.b.onPrimary)
	if err != nil {
		o.b.Error(err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commits = append(o.commits, mark{
		at:     at,
		number: all.OfServer(o.server).Count(),
	})
}

func (o *observer) look() {
	entries, err := os.ReadDir(filepath.Join(o.b.store.Dir(o.folder), "binlog"))
	if err != nil {
		return // it is not there yet
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, entry := range entries {
		if _, known := o.seen[entry.Name()]; !known {
			o.seen[entry.Name()] = time.Now()
		}
	}
}

// segment is one that came to be in the store: with it, it has the transactions of the primary up to last.
type segment struct {
	at          time.Time
	first, last uint64
}

// segments are in the order in which they were written. Gaps of the archive fail the test.
func (o *observer) segments() (out []segment) {
	o.b.Helper()
	catalog := o.b.catalog(o.folder)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, run := range catalog.Runs {
		for _, s := range run.Segments {
			at, seen := o.seen[fmt.Sprintf("%012d.dbb", s.Header.First)]
			if !seen {
				continue // it was there before
			}
			out = append(out, segment{
				at:    at,
				first: s.Header.Before.OfServer(o.server).Count() + 1,
				last:  s.Header.Before.Union(s.Header.Adds).OfServer(o.server).Count(),
			})
		}
	}
	return out
}

// committed is a moment at which a transaction was not committed yet, the last one that is known; false if it was
// committed before anything was noted, or is not yet.
func (o *observer) committed(number uint64) (time.Time, bool) {
	at, _ := slices.BinarySearchFunc(o.commits, number, func(c mark, number uint64) int {
		if c.number < number {
			return -1
		}
		return 1
	})
	if at == 0 || at == len(o.commits) {
		return time.Time{}, false
	}
	return o.commits[at-1].at, true
}

// delays are the times from a commit until it was in the store, of all transactions that were committed after a moment,
// sorted. They are at most some 20 ms too long.
func (o *observer) delays(after time.Time) (out []time.Duration) {
	o.b.Helper()
	segments := o.segments()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range segments {
		for number := s.first; number <= s.last; number++ {
			if at, known := o.committed(number); known && at.After(after) {
				out = append(out, s.at.Sub(at))
			}
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		o.b.Fatal("no transaction was archived")
	}
	return out
}

// caughtUp is the first moment after another one at which nothing older than a limit was missing in the store; false if there
// is none yet.
func (o *observer) caughtUp(after time.Time, limit time.Duration) (time.Time, bool) {
	segments := o.segments()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range segments {
		if s.at.Before(after) {
			continue
		}
		oldest, known := o.committed(s.last + 1)
		if !known || s.at.Sub(oldest) <= limit {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// catalog is what the store has of an archive.
func (b *bench) catalog(folder string) archive.Catalog {
	b.Helper()
	objects, err := blobstore.Open(b.Context(), b.location(b.store.Endpoint, folder))
	if err != nil {
		b.Fatal(err)
	}
	defer objects.Close()
	catalog, err := archive.Load(b.Context(), objects)
	if err != nil {
		b.Fatal(err)
	}
	if len(catalog.Gaps) > 0 {
		b.Fatalf("the archive has a gap: %v", catalog.Gaps)
	}
	return catalog
}
