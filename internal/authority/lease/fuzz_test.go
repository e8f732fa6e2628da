package lease_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/dbpair/dbpair/internal/authority/lease"
)

// FuzzParse: a Lease is refused as malformed, or it is a record within bounds that is the
// same when it is written and read again.
func FuzzParse(f *testing.F) {
	var l coordinationv1.Lease
	if err := lease.Render(full(), &l); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"spec":{"leaseTransitions":2147483647,"leaseDurationSeconds":6}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"dbpair.io/pair-uid":"\"u\"","dbpair.io/ledger":"{\"version\":9223372036854775807,\"state\":\"joining\"}","dbpair.io/data":"{}"}},"spec":{"leaseTransitions":0,"leaseDurationSeconds":6}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l coordinationv1.Lease
		if json.Unmarshal(text, &l) != nil {
			t.Skip()
		}
		r, err := lease.Parse(&l)
		if err != nil {
			if !errors.Is(err, lease.ErrMalformed) {
				t.Errorf("refused, and not as malformed: %v", err)
			}
			return
		}
		if err := r.CheckRange(); err != nil {
			t.Errorf("parsed, and %v", err)
		}
		var again coordinationv1.Lease
		if err := lease.Render(r, &again); err != nil {
			t.Fatalf("parsed, and cannot be written: %v", err)
		}
		second, err := lease.Parse(&again)
		if err != nil {
			t.Fatalf("written, and cannot be read: %v", err)
		}
		if diff := cmp.Diff(r, second); diff != "" {
			t.Errorf("another record after it was written (-first +second):\n%s", diff)
		}
	})
}
