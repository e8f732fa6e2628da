package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/clonewire"
)

// Source has the recording of one backup for a donor. Each object is compared with its
// sha256 before any of its answers is handed out, so that a damaged one is named and reaches
// no server. Memory is that of one object.
type Source struct {
	objects    Objects
	manifest   Manifest
	entries    []Object
	identities []age.Identity
}

// OpenSource reads the manifest and the lists of a backup. An encrypted one needs an identity.
func OpenSource(ctx context.Context, objects Objects, id string, identities []age.Identity) (*Source, error) {
	m, err := ReadManifest(ctx, objects, id)
	if err != nil {
		return nil, err
	}
	if m.Encrypted && len(identities) == 0 {
		return nil, errors.New("the backup is encrypted: name the file of an age identity")
	}
	entries, err := readLists(ctx, objects, m)
	if err != nil {
		return nil, err
	}
	return &Source{
		objects:    objects,
		manifest:   m,
		entries:    entries,
		identities: identities,
	}, nil
}

// Manifest is the backup's.
func (s *Source) Manifest() Manifest { return s.manifest }

// Opening returns the donor's opening.
func (s *Source) Opening(ctx context.Context) ([]clonewire.Answer, error) {
	var opening []clonewire.Answer
	for _, entry := range s.entries {
		if entry.Key != openingName {
			continue
		}
		err := s.visit(ctx, entry, func(a clonewire.Answer) error {
			opening = append(opening, clonewire.Answer{
				Code: a.Code,
				Body: bytes.Clone(a.Body),
			})
			return nil
		})
		return opening, err
	}
	return nil, &DamagedError{
		Key:    keyOf(s.manifest.ID, manifestName),
		Reason: "its lists name no " + openingName,
	}
}

// errStopped ends a visit when the reader wants no more answers.
var errStopped = errors.New("stopped")

// Stage yields the answers of a stage, stream by stream.
func (s *Source) Stage(ctx context.Context, stage clonewire.Stage) iter.Seq2[clonewire.Answer, error] {
	return func(yield func(clonewire.Answer, error) bool) {
		for _, entry := range s.entries {
			if entry.Stage != int(stage) {
				continue
			}
			err := s.visit(ctx, entry, func(a clonewire.Answer) error {
				if !yield(a, nil) {
					return errStopped
				}
				return nil
			})
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield(clonewire.Answer{}, err)
				return
			}
		}
	}
}

// visit reads one object, and checks it before the first answer.
func (s *Source) visit(ctx context.Context, entry Object, visit func(clonewire.Answer) error) error {
	content, err := fetch(ctx, s.objects, s.manifest.ID, entry)
	if err != nil {
		return err
	}
	err = unseal(content, s.identities, s.manifest.Encrypted, visit)
	if err == nil || errors.Is(err, errStopped) {
		return err
	}
	var foreign *age.NoIdentityMatchError
	if errors.As(err, &foreign) {
		return fmt.Errorf("object %s: no identity given is of a recipient of this backup: %w", keyOf(s.manifest.ID, entry.Key), err)
	}
	return &DamagedError{
		Key:    keyOf(s.manifest.ID, entry.Key),
		Reason: err.Error(),
	}
}
