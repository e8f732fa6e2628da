package dump

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is what zstd may look back, in bytes: as much as its own program allows without
// being asked.
const maxWindow = 128 << 20

// Open reads a dump uncompressed: plain, or what gzip or zstd wrote, which its first bytes tell.
// Where a compressed file is cut off, Read fails with io.ErrUnexpectedEOF. Close gives memory
// back and leaves the input open.
func Open(in io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(in, 1<<20)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return unpacked, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unpacked, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return unpacked.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}
