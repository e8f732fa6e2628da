package archive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
)

// Objects is the store that an archive is in.
type Objects interface {
	backup.Objects
	// Head reads the first bytes of an object: as many as asked for, or all it has.
	Head(ctx context.Context, key string, size int64) ([]byte, error)
}

// ErrForeign says that another process writes to the same archive. It has to be found out which
// one is right before either goes on.
var ErrForeign = errors.New("another writer uses this archive: end one of them, or give each pair a folder of its own")

// Log is the end of an archive, where one process appends to it. It is used by one goroutine.
type Log struct {
	objects Objects
	pair    string
	writer  string

	// Waiting is called each time that the store could not be reached, with the error, before
	// the next attempt; it may be nil. An error of it ends the waiting.
	Waiting func(error) error

	next uint64
	all  gtid.Set
	// complete is the newest moment up to which nothing is missing, as an object says it.
	complete time.Time
	// fresh is an archive without any object.
	fresh bool
}

// Resume finds the end of an archive from the listing and the header of the newest object. The
// archive may be empty. One of another pair is ErrForeign.
func Resume(ctx context.Context, objects Objects, pair string) (*Log, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	log := &Log{
		objects: objects,
		pair:    pair,
		writer:  hex.EncodeToString(random[:]),
		next:    1,
		fresh:   true,
	}
	var newest string
	err := objects.List(ctx, folder, func(info store.Info) error {
		if _, last, ok := parseKey(info.Key); ok && last >= log.next {
			log.next = last + 1
			newest = info.Key
		}
		return nil
	})
	if err != nil || newest == "" {
		return log, err
	}
	h, err := readHeader(ctx, objects, newest)
	if err != nil {
		return nil, fmt.Errorf("the archive cannot be continued: %w", err)
	}
	if h.Pair != pair {
		return nil, fmt.Errorf("%w (object %s is of pair %q, this one is %q)", ErrForeign, newest, h.Pair, pair)
	}
	log.all = h.after()
	log.complete = h.Complete
	log.fresh = false
	return log, nil
}

// Fresh reports whether the archive has no object.
func (l *Log) Fresh() bool { return l.fresh }

// All is everything that is archived, was there before the archive began, or is missing.
func (l *Log) All() gtid.Set { return l.all }

// Complete is the newest moment up to which nothing is missing, by what was written last; zero if
// that is not known.
func (l *Log) Complete() time.Time { return l.complete }

// Start says what was there before the archive began. It is for a fresh one.
func (l *Log) Start(purged gtid.Set) { l.all = purged }

// Append writes a segment and returns when it is durable. complete is a moment up to which
// nothing is missing with it, or zero. While the store cannot be reached it blocks until ctx ends.
func (l *Log) Append(ctx context.Context, d Draft, source gtid.ServerUUID, complete time.Time) error {
	h := l.header(source)
	h.Adds = d.Adds
	h.Transactions = d.Transactions
	h.Part = d.Part
	h.More = d.More
	h.Earliest = d.Earliest
	h.Latest = d.Latest
	h.Complete = complete
	h.Encrypted = d.encrypted
	h.Raw = d.raw
	return l.write(ctx, h, d.body)
}

// Gap records that transactions are missing for good, and returns the gap as the record has it.
func (l *Log) Gap(ctx context.Context, missing gtid.Set, source gtid.ServerUUID) (Gap, error) {
	h := l.header(source)
	h.Missing = missing
	h.Found = time.Now().UTC().Round(0)
	return Gap{
		Missing:  missing,
		Recorded: true,
		At:       h.First,
		Found:    h.Found,
	}, l.write(ctx, h, nil)
}

func (l *Log) header(source gtid.ServerUUID) Header {
	return Header{
		Pair:   l.pair,
		Writer: l.writer,
		Source: source,
		First:  l.next,
		Last:   l.next,
		Before: l.all,
	}
}

func (l *Log) write(ctx context.Context, h Header, body []byte) error {
	content, err := encode(h, body)
	if err != nil {
		return err
	}
	if err := l.put(ctx, keyOf(h.First, h.Last), content); err != nil {
		return err
	}
	l.all = h.after()
	l.complete = latest(l.complete, h.Complete)
	l.next = h.Last + 1
	l.fresh = false
	return nil
}

// put creates an object and waits while the store cannot be reached. An attempt that failed may
// have created it: then it is there with the same content.
func (l *Log) put(ctx context.Context, key string, content []byte) error {
	pause := firstPause
	for {
		err := l.objects.Put(ctx, key, content)
		switch store.ClassOf(err) {
		case store.Unreachable:
		case store.Exists:
			err = l.confirm(ctx, key, content)
			if store.ClassOf(err) != store.Unreachable {
				return err
			}
		case store.Denied, store.NoBucket, store.Skewed, store.Untrusted, store.Full, store.NotFound, store.Unknown:
			return err // nil has no class either
		}
		if l.Waiting != nil {
			if stop := l.Waiting(err); stop != nil {
				return fmt.Errorf("%w, last: %w", stop, err)
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w, last: %w", ctx.Err(), err)
		}
		pause = min(2*pause, maxPause)
	}
}

func (l *Log) confirm(ctx context.Context, key string, content []byte) error {
	there, err := l.objects.Get(ctx, key)
	if err != nil {
		return err
	}
	if string(there) != string(content) {
		return fmt.Errorf("%w (object %s)", ErrForeign, key)
	}
	return nil
}

// readHeader reads the header of an object, and no more of it than that takes.
func readHeader(ctx context.Context, objects Objects, key string) (Header, error) {
	size := probeSize
	for range 2 {
		content, err := objects.Head(ctx, key, int64(size))
		if err != nil {
			return Header{}, err
		}
		h, needed, err := decodeHeader(content)
		if errors.Is(err, errShort) && needed > len(content) && len(content) == size {
			size = needed
			continue
		}
		if err != nil {
			return Header{}, damaged(key, "%s", err)
		}
		if first, last, _ := parseKey(key); first != h.First || last != h.Last {
			return Header{}, damaged(key, "its header has the numbers %d to %d", h.First, h.Last)
		}
		return h, nil
	}
	return Header{}, damaged(key, "%s", errShort)
}
