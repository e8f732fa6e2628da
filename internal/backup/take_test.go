package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/memstore"
)

// fakeDonor hands a recorder what a server would.
type fakeDonor struct {
	opening []clonewire.Answer
	streams map[clonewire.Place][]clonewire.Answer
	// uuids are the server's at the first and the second State.
	uuids []string
	// end replaces Finish.
	end func() error
}

func (d *fakeDonor) State(context.Context) (State, error) {
	uuid := d.uuids[0]
	if len(d.uuids) > 1 {
		d.uuids = d.uuids[1:]
	}
	return State{
		Server:       Server{UUID: uuid, Version: "9.7.4"},
		GTIDExecuted: uuid + ":1-7",
	}, nil
}

func (d *fakeDonor) Clone(ctx context.Context, r clonewire.Recorder) error {
	if err := r.Open(ctx, d.opening); err != nil {
		return err
	}
	for _, stage := range clonewire.Stages() {
		group, groupCtx := errgroup.WithContext(ctx)
		for place, answers := range d.streams {
			if place.Stage == stage {
				group.Go(func() error { return recordAll(groupCtx, r, place, answers) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if err := r.EndStage(ctx, stage); err != nil {
			return err
		}
	}
	if d.end != nil {
		return d.end()
	}
	return r.Finish(ctx)
}

// recordAll lends each body in a buffer that is overwritten afterwards, as a client does.
func recordAll(ctx context.Context, r clonewire.Recorder, place clonewire.Place, answers []clonewire.Answer) error {
	for _, a := range answers {
		body := bytes.Clone(a.Body)
		err := r.Record(ctx, place, clonewire.Answer{
			Code: a.Code,
			Body: body,
		})
		if err != nil {
			return err
		}
		clear(body)
	}
	return nil
}

// newDonor has three streams of files, two of them of several objects, and one of pages and redo each.
func newDonor(size int) *fakeDonor {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(size int) clonewire.Answer {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		return clonewire.Answer{Code: clonewire.AnswerData, Body: body}
	}
	text := func(size int) clonewire.Answer {
		return clonewire.Answer{Code: clonewire.AnswerData, Body: bytes.Repeat([]byte("row "), size/4)}
	}
	d := &fakeDonor{
		opening: []clonewire.Answer{
			{Code: clonewire.AnswerLocators, Body: []byte{2, 1, 0, 0}},
			{Code: clonewire.AnswerPlugin, Body: []byte("a plugin")},
		},
		streams: map[clonewire.Place][]clonewire.Answer{},
		uuids:   []string{"aaaa"},
	}
	for stream := range 2 {
		place := clonewire.Place{Stage: clonewire.StageFile, Stream: stream}
		for range 9 {
			d.streams[place] = append(d.streams[place], noise(size), text(size))
		}
	}
	d.streams[clonewire.Place{Stage: clonewire.StageFile, Stream: 2}] = []clonewire.Answer{text(40)}
	d.streams[clonewire.Place{Stage: clonewire.StagePage}] = []clonewire.Answer{text(4), {Code: clonewire.AnswerDescriptor}}
	d.streams[clonewire.Place{Stage: clonewire.StageRedo}] = []clonewire.Answer{noise(100)}
	return d
}

// orderedStore remembers the keys in the order of their puts.
type orderedStore struct {
	*memstore.Store
	keys []string
}

func (s *orderedStore) FailWith() {
	s.Store.FailWith(func(op, key string) error {
		if op == "put" {
			s.keys = append(s.keys, key)
		}
		return nil
	})
}

func take(t *testing.T, objects Objects, donor Donor, recipients ...age.Recipient) (Manifest, error) {
	t.Helper()
	return Take(t.Context(), objects, donor, TakeOptions{
		ID:         idOne,
		Recipients: recipients,
		Now:        func() time.Time { return epoch },
	})
}

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestTakeIsReadBackAsItWasRecorded(t *testing.T) {
	identity := newIdentity(t)
	for name, recipients := range map[string][]age.Recipient{
		"plain":     nil,
		"encrypted": {identity.Recipient()},
	} {
		t.Run(name, func(t *testing.T) {
			objects := &orderedStore{Store: memstore.New(time.Now)}
			objects.FailWith()
			donor := newDonor(3 << 20)
			m, err := take(t, objects, donor, recipients...)
			if err != nil {
				t.Fatal(err)
			}
			if last := objects.keys[len(objects.keys)-1]; last != keyOf(idOne, manifestName) {
				t.Errorf("the last object written is %s", last)
			}
			if m.Encrypted != (len(recipients) > 0) || m.GTIDBefore != "aaaa:1-7" || m.Server.UUID != "aaaa" {
				t.Errorf("manifest %+v", m)
			}
			if damaged, err := Verify(t.Context(), objects, idOne); err != nil || len(damaged) > 0 {
				t.Errorf("verify: %v, %v", damaged, err)
			}
			compareRecording(t, objects, donor, identity)
			checkSecrecy(t, objects, m.Encrypted)
		})
	}
}

// compareRecording reads a backup and compares it with what the donor sent.
func compareRecording(t *testing.T, objects Objects, donor *fakeDonor, identity age.Identity) {
	t.Helper()
	source, err := OpenSource(t.Context(), objects, idOne, []age.Identity{identity})
	if err != nil {
		t.Fatal(err)
	}
	opening, err := source.Opening(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(donor.opening, opening); diff != "" {
		t.Errorf("opening (-want +got):\n%s", diff)
	}
	for _, stage := range clonewire.Stages() {
		var want []clonewire.Answer
		for stream := range 3 {
			want = append(want, donor.streams[clonewire.Place{Stage: stage, Stream: stream}]...)
		}
		i := 0
		for answer, err := range source.Stage(t.Context(), stage) {
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(want) || answer.Code != want[i].Code || !bytes.Equal(answer.Body, want[i].Body) {
				t.Fatalf("%s: answer %d is not the one that was recorded", stage, i)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%s: %d answers of %d", stage, i, len(want))
		}
	}
}

// checkSecrecy: text of tables compresses to what a reader of the bucket finds, unless it is encrypted.
func checkSecrecy(t *testing.T, objects Objects, encrypted bool) {
	t.Helper()
	content, err := objects.Get(t.Context(), keyOf(idOne, openingName))
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Contains(content, []byte("a plugin")); got == encrypted {
		t.Errorf("the opening is readable: %v, encrypted: %v", got, encrypted)
	}
}

func TestEncryptedNeedsItsIdentity(t *testing.T) {
	objects := memstore.New(time.Now)
	if _, err := take(t, objects, newDonor(10), newIdentity(t).Recipient()); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSource(t.Context(), objects, idOne, nil); err == nil {
		t.Error("it was opened without an identity")
	}
	source, err := OpenSource(t.Context(), objects, idOne, []age.Identity{newIdentity(t)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Opening(t.Context())
	var damaged *DamagedError
	if err == nil || errors.As(err, &damaged) || !strings.Contains(err.Error(), "identity") {
		t.Errorf("a foreign identity: %v", err)
	}
}

func TestDamagedObjectIsNamedBeforeItsAnswers(t *testing.T) {
	objects := memstore.New(time.Now)
	if _, err := take(t, objects, newDonor(3<<20)); err != nil {
		t.Fatal(err)
	}
	key := keyOf(idOne, "s2/001-00000001.dbb")
	content, err := objects.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	objects.Overwrite(key, content)
	source, err := OpenSource(t.Context(), objects, idOne, nil)
	if err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	for _, err := range source.Stage(t.Context(), clonewire.StageFile) {
		if err != nil && (!errors.As(err, &damaged) || damaged.Key != key) {
			t.Fatalf("stage: %v", err)
		}
	}
	if damaged == nil {
		t.Error("the stage was read to its end")
	}
}

func TestNoManifestWithoutAWholeRecording(t *testing.T) {
	for name, donor := range map[string]*fakeDonor{
		"the clone fails":          {uuids: []string{"a"}, end: func() error { return errors.New("lost connection") }},
		"it ends without a finish": {uuids: []string{"a"}, end: func() error { return nil }},
		"another server answers":   {uuids: []string{"a", "b"}},
		"an answer has no room": {uuids: []string{"a"}, streams: map[clonewire.Place][]clonewire.Answer{
			{Stage: clonewire.StageFile}: {{Code: clonewire.AnswerData, Body: make([]byte, rawLimit)}},
		}},
	} {
		objects := memstore.New(time.Now)
		if _, err := take(t, objects, donor); err == nil {
			t.Errorf("%s: take succeeded", name)
		}
		if _, err := ReadManifest(t.Context(), objects, idOne); store.ClassOf(err) != store.NotFound {
			t.Errorf("%s: the manifest: %v", name, err)
		}
	}
}

// lossy is a store whose first answers to put get lost.
type lossy struct {
	*memstore.Store
	losses int
	// stored says that a lost put was carried out.
	stored bool
}

func (s *lossy) Put(ctx context.Context, key string, content []byte) error {
	if s.losses == 0 {
		return s.Store.Put(ctx, key, content)
	}
	s.losses--
	if s.stored {
		_ = s.Store.Put(ctx, key, content)
	}
	return &store.Error{Op: "put", Key: key, Class: store.Unreachable, Err: errors.New("reset")}
}

func TestUploadWaitsForTheStore(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			objects := &lossy{Store: memstore.New(time.Now), losses: 8, stored: stored}
			var pauses []time.Duration
			u := uploader{
				objects: objects,
				sleep: func(_ context.Context, d time.Duration) error {
					pauses = append(pauses, d)
					return nil
				},
			}
			if err := u.put(t.Context(), "key", []byte("x")); err != nil {
				t.Fatal(err)
			}
			if got, err := objects.Get(t.Context(), "key"); err != nil || string(got) != "x" {
				t.Errorf("stored %q, %v", got, err)
			}
			if len(pauses) != 8 || pauses[7] != maxPause {
				t.Errorf("paused %v", pauses)
			}
		})
	}
}

func TestUploadRefusesAnotherWritersObject(t *testing.T) {
	for _, losses := range []int{0, 1} {
		objects := &lossy{Store: memstore.New(time.Now), losses: losses}
		objects.Overwrite("key", []byte("theirs"))
		u := uploader{
			objects: objects,
			sleep:   func(context.Context, time.Duration) error { return nil },
		}
		if err := u.put(t.Context(), "key", []byte("ours")); store.ClassOf(err) != store.Exists {
			t.Errorf("after %d losses: %v", losses, err)
		}
	}
}

func TestUploadEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u := uploader{
		objects: &lossy{Store: memstore.New(time.Now), losses: 1 << 30},
		sleep:   sleep,
	}
	err := u.put(ctx, "key", nil)
	if !errors.Is(err, context.Canceled) || store.ClassOf(err) != store.Unreachable {
		t.Errorf("put: %v", err)
	}
}
