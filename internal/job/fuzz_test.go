package job

import (
	"encoding/json"
	"testing"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// FuzzState: whatever is in the ConfigMap in place of the state that a Job left, it is
// refused, or read within the limit of its size.
func FuzzState(f *testing.F) {
	packed, err := pack(map[string]any{"tables": []string{"app.people"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{})
	f.Add(packed[:len(packed)-3])
	f.Fuzz(func(t *testing.T, packed []byte) {
		text, err := unpack(packed)
		if err == nil && len(text) > maxUnpacked {
			t.Errorf("%d bytes were unpacked", len(text))
		}
	})
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
