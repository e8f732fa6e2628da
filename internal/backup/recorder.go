package backup

import (
	"context"
	"fmt"
	"sync"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/clonewire"
)

// recorder writes what a clone receives as objects of a backup. Each stream of a stage fills
// one object at a time, and its connection waits while that is uploaded, so memory does not
// depend on the data.
type recorder struct {
	id         string
	upload     uploader
	recipients []age.Recipient

	mu       sync.Mutex
	streams  map[clonewire.Place]*stream
	written  summary
	finished bool
}

// stream is one sequence of answers. Only one goroutine uses it at a time.
type stream struct {
	sealer   sealer
	sequence int
}

// summary is what a manifest says of the objects.
type summary struct {
	objects int
	stored  int64
	raw     int64
	lists   []Object
	// pending are the objects that no list names yet.
	pending []Object
}

func newRecorder(id string, upload uploader, recipients []age.Recipient) *recorder {
	return &recorder{
		id:         id,
		upload:     upload,
		recipients: recipients,
		streams:    map[clonewire.Place]*stream{},
	}
}

// Open writes the donor's opening as one object.
func (r *recorder) Open(ctx context.Context, opening []clonewire.Answer) error {
	sealer, err := newSealer(r.recipients)
	if err != nil {
		return err
	}
	for _, answer := range opening {
		if err := sealer.add(answer); err != nil {
			return err
		}
	}
	return r.write(ctx, sealer, Object{Key: openingName})
}

// Record adds an answer to its stream's object, and first uploads that if it is full.
func (r *recorder) Record(ctx context.Context, place clonewire.Place, answer clonewire.Answer) error {
	s, err := r.stream(place)
	if err != nil {
		return err
	}
	if s.sealer.Raw() > 0 && !s.sealer.fits(answer) {
		if err := r.flush(ctx, place, s); err != nil {
			return err
		}
	}
	return s.sealer.add(answer)
}

func (r *recorder) stream(place clonewire.Place) (*stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.streams[place]; ok {
		return s, nil
	}
	sealer, err := newSealer(r.recipients)
	if err != nil {
		return nil, err
	}
	s := &stream{sealer: sealer}
	r.streams[place] = s
	return s, nil
}

// EndStage uploads what is left of a stage: the donor may drop it afterwards.
func (r *recorder) EndStage(ctx context.Context, stage clonewire.Stage) error {
	for place, s := range r.streams {
		if place.Stage != stage {
			continue
		}
		if s.sealer.Raw() > 0 {
			if err := r.flush(ctx, place, s); err != nil {
				return err
			}
		}
		delete(r.streams, place)
	}
	return nil
}

// Finish writes the last list of objects.
func (r *recorder) Finish(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) > 0 {
		return fmt.Errorf("the clone finished with %d streams open", len(r.streams))
	}
	if err := r.writeList(ctx); err != nil {
		return err
	}
	r.finished = true
	return nil
}

func (r *recorder) flush(ctx context.Context, place clonewire.Place, s *stream) error {
	object := Object{
		Key:      fmt.Sprintf("s%d/%03d-%08d.dbb", place.Stage, place.Stream, s.sequence),
		Stage:    int(place.Stage),
		Stream:   place.Stream,
		Sequence: s.sequence,
	}
	s.sequence++
	return r.write(ctx, s.sealer, object)
}

// write uploads the sealer's object and notes it for the lists.
func (r *recorder) write(ctx context.Context, sealer sealer, object Object) error {
	content, raw, err := sealer.Seal()
	if err != nil {
		return err
	}
	object.Size = int64(len(content))
	object.Raw = int64(raw)
	object.SHA256 = sumOf(content)
	if err := r.upload.put(ctx, keyOf(r.id, object.Key), content); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written.objects++
	r.written.stored += object.Size
	r.written.raw += object.Raw
	r.written.pending = append(r.written.pending, object)
	if len(r.written.pending) < listLimit {
		return nil
	}
	return r.writeList(ctx)
}

// writeList uploads the pending objects' list. The caller holds the lock.
func (r *recorder) writeList(ctx context.Context) error {
	if len(r.written.pending) == 0 {
		return nil
	}
	content, err := encodeList(r.written.pending)
	if err != nil {
		return err
	}
	list := Object{
		Key:    listName(len(r.written.lists)),
		Size:   int64(len(content)),
		SHA256: sumOf(content),
	}
	if err := r.upload.put(ctx, keyOf(r.id, list.Key), content); err != nil {
		return err
	}
	r.written.lists = append(r.written.lists, list)
	r.written.pending = nil
	return nil
}
