package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/dbpair/dbpair/internal/store"
)

const (
	// rawLimit is how many uncompressed bytes one segment holds. It is also when a segment is
	// written before its time.
	rawLimit = 8 << 20
	// packLimit is how many uncompressed bytes the segments of a pack have together.
	packLimit = 256 << 20
	// packSize is how many bytes a pack has at most as it is stored, its header not counted.
	packSize = store.MaxSize - headerLimit - 1<<10
	// window bounds the memory of the compressor and the decompressor.
	window = 1 << 20
)

// sealer makes the body of one segment after the other: compressed, and encrypted if there are
// recipients. Its memory is that of one body.
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

// add appends to the body, and begins one.
func (s *sealer) add(piece []byte) error {
	if s.raw == 0 {
		if err := s.begin(); err != nil {
			return err
		}
	}
	s.raw += len(piece)
	_, err := s.packer.Write(piece)
	return err
}

func (s *sealer) begin() error {
	s.reset()
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

// reset forgets what was added.
func (s *sealer) reset() {
	s.out.Reset()
	s.encrypted = nil
	s.raw = 0
}

// seal ends the body. It is valid until the next add. A body to which nothing was added is empty.
func (s *sealer) seal() ([]byte, error) {
	if s.raw == 0 {
		return nil, nil
	}
	if err := s.packer.Close(); err != nil {
		return nil, err
	}
	if s.encrypted != nil {
		if err := s.encrypted.Close(); err != nil {
			return nil, err
		}
	}
	s.raw = 0
	return s.out.Bytes(), nil
}

// unseal writes the binary log in a body to out. It reads no more than the header says.
func unseal(h Header, body []byte, identities []age.Identity, out io.Writer) error {
	if h.Raw == 0 {
		return nil
	}
	var in io.Reader = bytes.NewReader(body)
	if h.Encrypted {
		if len(identities) == 0 {
			return errNoIdentity
		}
		plain, err := age.Decrypt(in, identities...)
		if err != nil {
			return fmt.Errorf("decrypt: %w", err)
		}
		in = plain
	}
	unpacker, err := zstd.NewReader(in,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(window),
		zstd.WithDecoderMaxMemory(rawLimit))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	count, err := io.Copy(out, io.LimitReader(unpacker, h.Raw+1))
	if err != nil {
		return err
	}
	if count != h.Raw {
		return fmt.Errorf("it has other than the %d bytes that its header says", h.Raw)
	}
	return nil
}

var errNoIdentity = errors.New("the archive is encrypted: name the file of an age identity")
