package dump

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The first bytes of a dump say how it is stored, and one that is cut off never reads as whole.
func TestOpenTellsHowADumpIsStored(t *testing.T) {
	text := strings.Repeat("INSERT INTO t VALUES (1);\n", 1000)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(stored []byte) (string, error) {
		in, err := Open(bytes.NewReader(stored))
		if err != nil {
			return "", err
		}
		defer func() { _ = in.Close() }()
		got, err := io.ReadAll(in)
		return string(got), err
	}
	if got, err := read([]byte(text)); err != nil || got != text {
		t.Errorf("plain: %d bytes, %v", len(got), err)
	}
	for name, stored := range map[string][]byte{"gzip": zipped.Bytes(), "zstd": encoder.EncodeAll([]byte(text), nil)} {
		if got, err := read(stored); err != nil || got != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		for cut := 4; cut < len(stored); cut++ {
			if _, err := read(stored[:cut]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, cut, len(stored), err)
			}
		}
	}
	if got, err := read(nil); err != nil || got != "" {
		t.Errorf("empty: %q, %v", got, err)
	}
}
