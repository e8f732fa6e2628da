package authority

import (
	"testing"

	"github.com/dbpair/dbpair/internal/pair"
)

// FuzzVouchAnswered: whatever a peer answers, without the operator's signature it neither makes up
// an epoch nor has an open primary close.
func FuzzVouchAnswered(f *testing.F) {
	f.Add(int64(2), "data-1", true, false, false, int64(2), int64(0), "")
	f.Add(int64(2), "data-1", false, true, true, int64(3), int64(3), "AAAA")
	f.Add(int64(9), "", true, true, false, int64(1)<<62, int64(1)<<62, "!")
	f.Add(int64(-1), "data-0", false, false, true, int64(-5), int64(-5), "x")
	f.Fuzz(func(t *testing.T, epoch int64, data string, given, open, claims bool, known, signedEpoch int64, signature string) {
		r := opened(t, both(5))
		a := r.answer(2, "data-1")
		a.Epoch = pair.Epoch(epoch)
		a.Data = pair.DataID(data)
		a.Given = given
		a.Open = open
		a.ClaimsHolder = claims
		a.Known = pair.Epoch(known)
		a.Signed = signedAt(3, them, 1)
		a.Signed.Epoch = pair.Epoch(signedEpoch)
		a.Signed.Signature = signature
		r.step(a)
		if v := r.m.View(); v.Known != 2 || r.disk.Known != 2 || v.Serving != Serves {
			t.Errorf("known is %d (%d on the volume), %s", v.Known, r.disk.Known, v.Serving)
		}
	})
}
