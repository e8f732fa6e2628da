package job

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// FuzzState: whatever is in the ConfigMap in place of the state that a Job left, it is read
// whole, or refused when it cannot be read or is larger than the limit. Nothing is cut off:
// half a state would be taken for one.
func FuzzState(f *testing.F) {
	packed, err := pack(map[string]any{"tables": []string{"app.people"}})
	if err != nil {
		f.Fatal(err)
	}
	size, err := unpackedSize(packed)
	if err != nil {
		f.Fatal(err)
	}
	for _, limit := range []int64{0, 1, size - 1, size, size + 1, maxUnpacked} {
		f.Add(packed, limit)
	}
	f.Add([]byte{}, int64(10))
	f.Add(packed[:len(packed)-3], size)
	f.Add(append(bytes.Clone(packed), packed...), size)
	f.Fuzz(func(t *testing.T, packed []byte, limit int64) {
		if limit < 0 || limit > maxUnpacked {
			return
		}
		text, err := unpackWithin(packed, limit)
		size, broken := unpackedSize(packed)
		switch {
		case err != nil && text != nil:
			t.Errorf("%d bytes beside the error %v", len(text), err)
		case err == nil && (broken != nil || int64(len(text)) != size || size > limit):
			t.Errorf("%d of %d bytes (%v) were unpacked with limit %d", len(text), size, broken, limit)
		case broken == nil && size > limit && !errors.Is(err, errTooLarge):
			t.Errorf("%d bytes with limit %d: %v", size, limit, err)
		case broken == nil && size <= limit && err != nil:
			t.Errorf("%d bytes with limit %d: %v", size, limit, err)
		}
	})
}

// unpackedSize counts without keeping.
func unpackedSize(packed []byte) (int64, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, r)
}

func TestAStateThatUnpacksToTooMuchIsRefused(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, err := io.CopyN(w, zeros{}, maxUnpacked+1)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := unpack(bomb.Bytes()); !errors.Is(err, errTooLarge) || text != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FuzzRequest: a request is refused, or names the same things when it is written and read
// again.
func FuzzRequest(f *testing.F) {
	f.Add(`{"operation":"r1","kind":"Repair","pair":"shop","epoch":4,"table":{"schema":"app","name":"people"}}`)
	f.Add(`{"epoch":9223372036854775808}`)
	f.Add(`{"table":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		var first, second jobapi.Request
		if json.Unmarshal([]byte(text), &first) != nil {
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &second); err != nil || first.Asked() != second.Asked() || first.Epoch != second.Epoch {
			t.Errorf("%q: %+v became %+v (%v)", text, first, second, err)
		}
	})
}
