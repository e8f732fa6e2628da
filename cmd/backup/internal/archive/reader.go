package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
)

// Archive is an archive that is read. Its catalog is that of the time at which it was opened; what
// was put into packs since is found there.
type Archive struct {
	objects    Objects
	identities []age.Identity
	catalog    Catalog
	packed     lastPack
}

// Open reads the catalog of an archive. To read an encrypted one takes an identity.
func Open(ctx context.Context, objects Objects, identities []age.Identity) (*Archive, error) {
	catalog, err := Load(ctx, objects)
	if err != nil {
		return nil, err
	}
	return &Archive{
		objects:    objects,
		identities: identities,
		catalog:    catalog,
	}, nil
}

// Catalog is what the archive has.
func (a *Archive) Catalog() Catalog { return a.catalog }

// errCut ends the reading of a segment where it is cut.
var errCut = errors.New("cut")

// Replay tells sink the transactions up to a cut that have does not contain. Each object is
// compared with its sha256 before any of it is handed out. Memory is that of one object and a pack. An
// error of the sink ends it.
func (a *Archive) Replay(ctx context.Context, c Cut, have gtid.Set, sink binlog.Sink) error {
	segments := a.catalog.Runs[c.Run].Segments
	for _, s := range segments[:c.Segments] {
		if have.Covers(s.Header.Adds) {
			continue
		}
		all := &filter{
			Sink: sink,
			have: have,
			left: -1,
		}
		if err := a.read(ctx, s, all); err != nil {
			return err
		}
	}
	if c.Transactions == 0 {
		return nil
	}
	last := &filter{
		Sink: sink,
		have: have,
		left: c.Transactions,
	}
	if err := a.read(ctx, segments[c.Segments], last); err != nil && !errors.Is(err, errCut) {
		return err
	}
	return nil
}

// ServerVersion is the version of the server that wrote the first transaction before a cut.
func (a *Archive) ServerVersion(ctx context.Context, c Cut) (string, error) {
	for _, s := range a.catalog.Runs[c.Run].Segments {
		if s.Header.Transactions == 0 {
			continue
		}
		first := &formatOnly{}
		if err := a.read(ctx, s, first); err != nil && !errors.Is(err, errCut) {
			return "", err
		}
		return first.version, nil
	}
	return "", errors.New("this part of the archive has no transaction")
}

// formatOnly is a sink that wants to know the format.
type formatOnly struct {
	nothing

	version string
}

func (f *formatOnly) Format(format binlog.FormatEvent) error {
	f.version = format.Server
	return errCut
}

// Verify reads every object and returns those that are damaged, and the number of transactions.
// Another error means that the store could not be read.
func (a *Archive) Verify(ctx context.Context) (damages []error, transactions int, err error) {
	for _, run := range a.catalog.Runs {
		for _, s := range run.Segments {
			count := &filter{Sink: nothing{}, left: -1}
			err := a.read(ctx, s, count)
			transactions += count.told
			switch {
			case err == nil:
			case isDamage(err):
				damages = append(damages, err)
			default:
				return damages, transactions, err
			}
		}
	}
	return damages, transactions, nil
}

func isDamage(err error) bool {
	var damage *backup.DamagedError
	return errors.As(err, &damage)
}

// read tells a sink what a segment has, and compares that with its header.
func (a *Archive) read(ctx context.Context, s Segment, sink binlog.Sink) error {
	contents := &checking{Sink: sink}
	scanner := binlog.NewScanner(contents)
	for _, object := range s.Objects {
		key, content, err := a.get(ctx, object)
		if err != nil {
			return err
		}
		if err := a.unpack(key, content, object.Header, scanner); err != nil {
			return err
		}
	}
	key := s.Objects[len(s.Objects)-1].Key
	if !scanner.Outside() {
		return damaged(key, "it ends inside a transaction")
	}
	adds, err := contents.seen.set()
	if err != nil {
		return err
	}
	if !adds.Equal(s.Header.Adds) {
		return damaged(key, "it has the transactions %s, its header says %s", adds, s.Header.Adds)
	}
	return nil
}

// unpack writes the binary log of an object with this header to a scanner, which is that of its segment. The
// content is that of the object, or of a pack that has it.
func (a *Archive) unpack(key string, content []byte, of Header, scanner io.Writer) error {
	h, body, err := decode(key, content)
	if err != nil {
		return err
	}
	if h.Pack == nil {
		return a.scan(key, h, body, scanner)
	}
	for _, entry := range h.Pack {
		if entry.Size < 0 || entry.Size > int64(len(body)) {
			return damaged(key, "object %d in it has %d bytes", entry.First, entry.Size)
		}
		one := body[:entry.Size]
		body = body[entry.Size:]
		if entry.First < of.First || entry.First > of.Last {
			continue
		}
		inner, innerBody, err := decode(key, one)
		if err != nil {
			return err
		}
		if inner.Pack != nil || inner.First != entry.First {
			return damaged(key, "object %d in it is another one", entry.First)
		}
		if err := a.scan(key, inner, innerBody, scanner); err != nil {
			return err
		}
	}
	if len(body) > 0 {
		return damaged(key, "%d bytes are in none of its objects", len(body))
	}
	return nil
}

func (a *Archive) scan(key string, h Header, body []byte, scanner io.Writer) error {
	out := &written{Writer: scanner}
	err := unseal(h, body, a.identities, out)
	var foreign *age.NoIdentityMatchError
	switch {
	case err == nil || out.err != nil && !errors.Is(out.err, binlog.ErrMalformed):
		return out.err
	case errors.As(err, &foreign):
		return fmt.Errorf("object %s: no identity given is of a recipient of this archive: %w", key, err)
	case errors.Is(err, ErrNoIdentity):
		return err
	}
	return damaged(key, "%s", err)
}

// written tells an error of the writer from one of the data.
type written struct {
	io.Writer

	err error
}

func (w *written) Write(piece []byte) (int, error) {
	count, err := w.Writer.Write(piece)
	w.err = err
	return count, err
}

// checking collects what a segment has.
type checking struct {
	binlog.Sink

	seen    collector
	current gtid.GTID
}

func (c *checking) Begin(t binlog.Transaction, event []byte) error {
	c.current = t.GTID
	return c.Sink.Begin(t, event)
}

func (c *checking) End() error {
	c.seen.add(c.current)
	return c.Sink.End()
}

// filter passes on the first transactions of a segment, without those that the receiver has.
type filter struct {
	binlog.Sink

	have gtid.Set
	// left is how many transactions come before the cut; -1 is all.
	left int
	told int
	skip bool
}

func (f *filter) Begin(t binlog.Transaction, event []byte) error {
	if f.left == 0 {
		return errCut
	}
	if f.left > 0 {
		f.left--
	}
	f.skip = f.have.Contains(t.GTID)
	if f.skip {
		return nil
	}
	f.told++
	return f.Sink.Begin(t, event)
}

func (f *filter) Event(h binlog.Header) error {
	if f.skip {
		return nil
	}
	return f.Sink.Event(h)
}

func (f *filter) Body(piece []byte) error {
	if f.skip {
		return nil
	}
	return f.Sink.Body(piece)
}

func (f *filter) End() error {
	if f.skip {
		return nil
	}
	return f.Sink.End()
}

// nothing is a sink that keeps nothing.
type nothing struct{}

func (nothing) Format(binlog.FormatEvent) error        { return nil }
func (nothing) Begin(binlog.Transaction, []byte) error { return nil }
func (nothing) Event(binlog.Header) error              { return nil }
func (nothing) Body([]byte) error                      { return nil }
func (nothing) End() error                             { return nil }
