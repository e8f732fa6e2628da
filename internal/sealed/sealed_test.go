package sealed_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/sealed"
)

// TestBodiesAreReadBack: one after the other by one Writer, also after one that was dropped.
func TestBodiesAreReadBack(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, recipients := range map[string][]age.Recipient{
		"plain":     nil,
		"encrypted": {identity.Recipient()},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := sealed.NewWriter(recipients)
			if err != nil {
				t.Fatal(err)
			}
			if body, raw, err := w.Seal(); len(body) != 0 || raw != 0 || err != nil {
				t.Errorf("a body to which nothing was written: %d bytes of %d, %v", len(body), raw, err)
			}
			if _, err := w.Write([]byte("dropped")); err != nil {
				t.Fatal(err)
			}
			w.Reset()
			for _, text := range []string{"a first one", "and a second"} {
				for _, piece := range []string{text[:3], text[3:]} {
					if _, err := w.Write([]byte(piece)); err != nil {
						t.Fatal(err)
					}
				}
				body, raw, err := w.Seal()
				if err != nil || raw != len(text) {
					t.Fatalf("sealed %d bytes: %v", raw, err)
				}
				in, err := sealed.NewReader(body, w.Encrypts(), []age.Identity{identity}, 0)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(in)
				if err := errors.Join(err, in.Close()); err != nil || string(got) != text {
					t.Errorf("read %q: %v", got, err)
				}
				if w.Encrypts() && bytes.Contains(body, []byte(text)) {
					t.Error("the text is in the encrypted body")
				}
			}
		})
	}
}

func TestAnEncryptedBodyNeedsItsIdentity(t *testing.T) {
	right, errRight := age.GenerateX25519Identity()
	wrong, errWrong := age.GenerateX25519Identity()
	if err := errors.Join(errRight, errWrong); err != nil {
		t.Fatal(err)
	}
	w, err := sealed.NewWriter([]age.Recipient{right.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	body, _, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.NewReader(body, true, nil, 0); !errors.Is(err, sealed.ErrNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
	if _, err := sealed.NewReader(body, true, []age.Identity{wrong}, 0); err == nil {
		t.Error("another identity opens it")
	}
}
