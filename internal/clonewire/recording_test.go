package clonewire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"
)

// recording keeps a clone in files of a directory, one for each stream.
type recording struct {
	dir     string
	opening []Answer
	files   map[Place]*os.File
	ended   []Stage
	whole   bool
	// failAt makes the recorder fail with failure at its so many-th record.
	failAt, records int
	// at is called with the number of each record, before it is kept.
	at func(records int)
}

// cutSource has a recording without the end of its last stage.
type cutSource struct{ *recording }

func (c cutSource) Stage(ctx context.Context, stage Stage) iter.Seq2[Answer, error] {
	whole := c.recording.Stage(ctx, stage)
	if stage != StageRedo {
		return whole
	}
	return func(yield func(Answer, error) bool) {
		for answer, err := range whole {
			ends := false
			if described, failure := ParseDescriptor(answer.Body); answer.Code == AnswerDescriptor && failure == nil {
				ends = described.Kind == DescriptorState && described.State.Flags == 0
			}
			if ends || !yield(answer, err) {
				return
			}
		}
	}
}

var errRecorder = errors.New("the recorder fails")

func newRecording(tb testing.TB) *recording {
	tb.Helper()
	r := &recording{
		dir:   tb.TempDir(),
		files: map[Place]*os.File{},
	}
	tb.Cleanup(func() {
		for _, file := range r.files {
			_ = file.Close()
		}
	})
	return r
}

func (r *recording) Open(_ context.Context, opening []Answer) error {
	r.opening = opening
	return nil
}

func (r *recording) Record(_ context.Context, place Place, answer Answer) error {
	r.records++
	if r.at != nil {
		r.at(r.records)
	}
	if r.records == r.failAt {
		return errRecorder
	}
	file, found := r.files[place]
	if !found {
		var err error
		name := filepath.Join(r.dir, fmt.Sprintf("%d-%d", place.Stage, place.Stream))
		if file, err = os.Create(name); err != nil {
			return err
		}
		r.files[place] = file
	}
	return WriteAnswer(file, answer)
}

func (r *recording) EndStage(_ context.Context, stage Stage) error {
	r.ended = append(r.ended, stage)
	return nil
}

func (r *recording) Finish(context.Context) error {
	r.whole = true
	return nil
}

func (r *recording) Opening(context.Context) ([]Answer, error) { return r.opening, nil }

func (r *recording) Stage(_ context.Context, stage Stage) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		for stream := range 2 {
			file, found := r.files[Place{Stage: stage, Stream: stream}]
			if !found {
				continue
			}
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				yield(Answer{}, err)
				return
			}
			if !yieldAll(file, yield) {
				return
			}
		}
	}
}

func yieldAll(file io.Reader, yield func(Answer, error) bool) bool {
	reader := bufio.NewReader(file)
	var buffer []byte
	for {
		answer, err := ReadAnswer(reader, buffer, defaultLimit)
		if errors.Is(err, io.EOF) {
			return true
		}
		if !yield(answer, err) || err != nil {
			return false
		}
		buffer = answer.Body
	}
}
