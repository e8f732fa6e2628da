package backup

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/sealed"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// rawLimit is how many uncompressed bytes one object holds. Data that does not compress
	// grows by less than a mebibyte with the frames of zstd and age.
	rawLimit = store.MaxSize - 1<<20
	// AnswerLimit is the size in bytes of the largest answer of a donor that an object can hold.
	AnswerLimit = rawLimit - 1<<10
)

// sealer makes one object after the other out of answers.
type sealer struct{ *sealed.Writer }

func newSealer(recipients []age.Recipient) (sealer, error) {
	w, err := sealed.NewWriter(recipients)
	return sealer{w}, err
}

// fits reports whether an answer can be added to the object.
func (s sealer) fits(a clonewire.Answer) bool { return s.Raw()+clonewire.StoredSize(a) <= rawLimit }

// add appends an answer that fits.
func (s sealer) add(a clonewire.Answer) error {
	if !s.fits(a) {
		return fmt.Errorf("an answer of the donor has %d bytes, an object holds %d", clonewire.StoredSize(a), rawLimit)
	}
	return clonewire.WriteAnswer(s, a)
}

// unseal calls visit for each answer of an object; its body is valid until visit returns. It
// stops at visit's first error.
func unseal(content []byte, identities []age.Identity, encrypted bool, visit func(clonewire.Answer) error) error {
	in, err := sealed.NewReader(content, encrypted, identities, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var buffer []byte
	for {
		answer, err := clonewire.ReadAnswer(in, buffer, rawLimit)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(answer); err != nil {
			return err
		}
		buffer = answer.Body
	}
}
