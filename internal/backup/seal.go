package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// rawLimit is how many uncompressed bytes one object holds. Data that does not compress
	// grows by less than a mebibyte with the frames of zstd and age.
	rawLimit = store.MaxSize - 1<<20
	// AnswerLimit is the size in bytes of the largest answer of a donor that an object can hold.
	AnswerLimit = rawLimit - 1<<10
	// window bounds the memory of the compressor and the decompressor.
	window = 1 << 20
)

// sealer makes one object after the other out of answers: compressed, and encrypted if there
// are recipients. Its memory is that of one object.
type sealer struct {
	recipients []age.Recipient
	packer     *zstd.Encoder
	encrypted  io.WriteCloser
	out        bytes.Buffer
	raw        int
}

func newSealer(recipients []age.Recipient) (*sealer, error) {
	packer, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &sealer{
		recipients: recipients,
		packer:     packer,
	}, nil
}

// fits reports whether an answer can be added to the object.
func (s *sealer) fits(a clonewire.Answer) bool { return s.raw+clonewire.StoredSize(a) <= rawLimit }

// add appends an answer that fits.
func (s *sealer) add(a clonewire.Answer) error {
	if s.raw == 0 {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if !s.fits(a) {
		return fmt.Errorf("an answer of the donor has %d bytes, an object holds %d", clonewire.StoredSize(a), rawLimit)
	}
	s.raw += clonewire.StoredSize(a)
	return clonewire.WriteAnswer(s.packer, a)
}

func (s *sealer) begin() error {
	s.out.Reset()
	if len(s.recipients) == 0 {
		s.packer.Reset(&s.out)
		return nil
	}
	encrypted, err := age.Encrypt(&s.out, s.recipients...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	s.encrypted = encrypted
	s.packer.Reset(encrypted)
	return nil
}

// seal ends the object and returns its content, which is valid until the next add, and how
// many bytes went in. The next add begins another object.
func (s *sealer) seal() (content []byte, raw int, err error) {
	if err := s.packer.Close(); err != nil {
		return nil, 0, err
	}
	if s.encrypted != nil {
		if err := s.encrypted.Close(); err != nil {
			return nil, 0, err
		}
	}
	raw = s.raw
	s.raw = 0
	s.encrypted = nil
	return s.out.Bytes(), raw, nil
}

// unseal calls visit for each answer of an object; its body is valid until visit returns. It
// stops at visit's first error.
func unseal(content []byte, identities []age.Identity, encrypted bool, visit func(clonewire.Answer) error) error {
	var in io.Reader = bytes.NewReader(content)
	if encrypted {
		plain, err := age.Decrypt(in, identities...)
		if err != nil {
			return fmt.Errorf("decrypt: %w", err)
		}
		in = plain
	}
	unpacker, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	var buffer []byte
	for {
		answer, err := clonewire.ReadAnswer(unpacker, buffer, rawLimit)
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
