package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// window bounds the memory of the compressor and the decompressor, in bytes.
const window = 1 << 20

// ErrNoIdentity: a body is encrypted, and there is nothing to decrypt it with.
var ErrNoIdentity = errors.New("it is encrypted: name the file of an age identity")

// Writer makes one body after the other. Its memory is that of one body. It is not safe for
// concurrent use.
type Writer struct {
	recipients []age.Recipient
	packer     *zstd.Encoder
	encrypted  io.WriteCloser
	out        bytes.Buffer
	raw        int
}

// NewWriter returns a Writer whose bodies are encrypted if there are recipients.
func NewWriter(recipients []age.Recipient) (*Writer, error) {
	packer, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &Writer{
		recipients: recipients,
		packer:     packer,
	}, nil
}

// Encrypts reports whether there are recipients.
func (w *Writer) Encrypts() bool { return len(w.recipients) > 0 }

// Raw is how many uncompressed bytes the present body has so far.
func (w *Writer) Raw() int { return w.raw }

// Write appends to the present body, and begins one if there is none.
func (w *Writer) Write(piece []byte) (int, error) {
	if w.raw == 0 {
		if err := w.begin(); err != nil {
			return 0, err
		}
	}
	n, err := w.packer.Write(piece)
	w.raw += n
	return n, err
}

func (w *Writer) begin() error {
	w.Reset()
	if !w.Encrypts() {
		w.packer.Reset(&w.out)
		return nil
	}
	encrypted, err := age.Encrypt(&w.out, w.recipients...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	w.encrypted = encrypted
	w.packer.Reset(encrypted)
	return nil
}

// Reset forgets the present body.
func (w *Writer) Reset() {
	w.out.Reset()
	w.encrypted = nil
	w.raw = 0
}

// Seal ends the present body and returns it; it is valid until the next Write or Reset. raw is how many
// uncompressed bytes went in. A body to which nothing was written is empty.
func (w *Writer) Seal() (body []byte, raw int, err error) {
	if w.raw == 0 {
		return nil, 0, nil
	}
	if err := w.packer.Close(); err != nil {
		return nil, 0, err
	}
	if w.encrypted != nil {
		if err := w.encrypted.Close(); err != nil {
			return nil, 0, err
		}
	}
	raw = w.raw
	w.raw = 0
	w.encrypted = nil
	return w.out.Bytes(), raw, nil
}

// NewReader reads what was written to a body. limit bounds the memory of the decompressor, in
// bytes; 0 for the library's own bound. It returns ErrNoIdentity for an encrypted body without identities.
func NewReader(body []byte, encrypted bool, identities []age.Identity, limit uint64) (io.ReadCloser, error) {
	var in io.Reader = bytes.NewReader(body)
	if encrypted {
		if len(identities) == 0 {
			return nil, ErrNoIdentity
		}
		plain, err := age.Decrypt(in, identities...)
		if err != nil {
			return nil, fmt.Errorf("decrypt: %w", err)
		}
		in = plain
	}
	options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window)}
	if limit > 0 {
		options = append(options, zstd.WithDecoderMaxMemory(limit))
	}
	unpacker, err := zstd.NewReader(in, options...)
	if err != nil {
		return nil, err
	}
	return unpacker.IOReadCloser(), nil
}
