package authority

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/dbpair/dbpair/internal/pair"
)

// claims are ways in which someone with the peer's certificate can name epoch 3 without an
// operator having written it.
func claims() map[string]pair.SignedEpoch {
	signed := signedAt(3, them, 1)
	spoilt := func(spoil func(*pair.SignedEpoch)) pair.SignedEpoch {
		s := signed
		spoil(&s)
		return s
	}
	return map[string]pair.SignedEpoch{
		"nothing":                 {},
		"no signature":            spoilt(func(s *pair.SignedEpoch) { s.Signature = "" }),
		"a signature of nothing":  spoilt(func(s *pair.SignedEpoch) { s.Signature = base64.StdEncoding.EncodeToString([]byte("x")) }),
		"text that is not base64": spoilt(func(s *pair.SignedEpoch) { s.Signature = "!" }),
		"another epoch":           signedAt(2, me, 1),
		"another epoch, renamed":  spoilt(func(s *pair.SignedEpoch) { *s = signedAt(2, me, 1); s.Epoch = 3 }),
		"a holder of its own":     spoilt(func(s *pair.SignedEpoch) { s.Holder.PodUID = "x" }),
		"a ledger of its own":     spoilt(func(s *pair.SignedEpoch) { s.Ledger++ }),
		"another rest":            spoilt(func(s *pair.SignedEpoch) { s.Digest = "e" }),
	}
}

// A peer can make up neither an epoch nor, by that, a reason to close.
func TestAnEpochOfThePeerCountsOnlyWithASignature(t *testing.T) {
	for name, claim := range claims() {
		t.Run(name, func(t *testing.T) {
			r := opened(t, both(5))
			a := r.answer(2, "data-1")
			a.Known = 3
			a.Given = false
			a.ClaimsHolder = true
			a.Signed = claim
			r.step(a)
			r.step(VouchAsked{
				At:      r.now,
				PairUID: "pair",
				Asker:   "shop-1",
				Epoch:   3,
				Nonce:   "n",
				Signed:  claim,
			})
			if v := r.m.View(); v.Known != 2 || r.disk.Known != 2 || v.Serving != Serves {
				t.Errorf("known is %d (%d on the volume), %s", v.Known, r.disk.Known, v.Serving)
			}
			must[ReadLease](t, "what is true is read at once", r.after(testT/4))
		})
	}
}

func TestASignedEpochOfThePeerIsKnownForGood(t *testing.T) {
	r := opened(t, both(5))
	a := r.answer(2, "data-1")
	a.Known, a.Given, a.Signed = 3, false, signedAt(3, them, 6)
	must[Close](t, "another is the holder", r.step(a))
	if r.disk.Known != 3 || r.disk.Signed != a.Signed {
		t.Errorf("on the volume is %+v", r.disk)
	}
	again := newRig(t, r.disk)
	again.boot0()
	out := again.step(VouchAsked{
		At:      again.now,
		PairUID: "pair",
		Asker:   "shop-1",
		Epoch:   2,
		Nonce:   "n",
		Signed:  signedAt(2, them, 1),
	})
	if v := must[AnswerVouch](t, "after a restart", out); v.Given || v.Known != 3 || v.Signed != a.Signed {
		t.Errorf("it shows %+v", v)
	}
}

// boot0 has the data ready; mysqld may not be started.
func (r *rig) boot0() { r.step(DataReady{At: r.now, DataID: "data-0", EpochFile: true}) }

// What was learned without evidence is shown with none, never with that of another epoch.
func TestEvidenceIsOfTheKnownEpoch(t *testing.T) {
	r := opened(t, both(5))
	if got := r.m.evidence(); got != signedAt(2, me, 5) {
		t.Fatalf("an open member shows %+v", got)
	}
	r.order(CommandCease, 3, 5)
	if got := r.m.evidence(); got != (pair.SignedEpoch{}) {
		t.Errorf("after a command without evidence it shows %+v", got)
	}
	r.seq++
	r.step(Commanded{
		At:      r.now,
		ID:      "c",
		Kind:    CommandCease,
		PairUID: "pair",
		Epoch:   4,
		Ledger:  5,
		Signed:  signedAt(4, pair.Holder{}, 5),
	})
	if got := r.m.evidence(); got != signedAt(4, pair.Holder{}, 5) {
		t.Errorf("after a command with evidence it shows %+v", got)
	}
}

func TestARecordIsAuthenticOnlyAsItWasSigned(t *testing.T) {
	verify := Verify(verifyTest)
	if err := verify.Authentic(record(7, me, both(3))); err != nil {
		t.Fatalf("what was signed is refused: %v", err)
	}
	for name, spoil := range map[string]func(*Record){
		"no signature":       func(r *Record) { r.Signed = pair.SignedEpoch{} },
		"another epoch":      func(r *Record) { r.Epoch++ },
		"another holder":     func(r *Record) { r.Holder = them },
		"another ledger":     func(r *Record) { r.Ledger.Version++ },
		"another pair":       func(r *Record) { r.PairUID = "other" },
		"another rest":       func(r *Record) { r.Signed.Digest = "e" },
		"an older signature": func(r *Record) { r.Signed = signedAt(6, me, 3) },
		"a made up one":      func(r *Record) { r.Signed.Signature = "eA==" },
	} {
		r := record(7, me, both(3))
		spoil(&r)
		if err := verify.Authentic(r); !errors.Is(err, ErrNotAuthentic) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Verify(nil).Authentic(record(7, me, both(3))); !errors.Is(err, ErrNotAuthentic) {
		t.Errorf("without a key: %v", err)
	}
}
