package pair

import (
	"bytes"
	"testing"
)

// Two statements that differ in anything are never the same bytes: else a signature for one
// would be one for the other.
func TestMessagesOfDifferentStatementsDiffer(t *testing.T) {
	base := SignedEpoch{Epoch: 7, Holder: Holder{Member: "shop-1", PodUID: "p"}, Ledger: 3, Digest: "d"}
	seen := map[string]string{string(base.Message("u")): "base"}
	for name, s := range map[string]SignedEpoch{
		"epoch":                    {Epoch: 8, Holder: base.Holder, Ledger: 3, Digest: "d"},
		"nobody":                   {Epoch: 7, Ledger: 3, Digest: "d"},
		"member":                   {Epoch: 7, Holder: Holder{Member: "shop-0", PodUID: "p"}, Ledger: 3, Digest: "d"},
		"pod":                      {Epoch: 7, Holder: Holder{Member: "shop-1", PodUID: "q"}, Ledger: 3, Digest: "d"},
		"a boundary moved":         {Epoch: 7, Holder: Holder{Member: "shop-", PodUID: "1p"}, Ledger: 3, Digest: "d"},
		"ledger":                   {Epoch: 7, Holder: base.Holder, Ledger: 4, Digest: "d"},
		"epoch and ledger":         {Epoch: 3, Holder: base.Holder, Ledger: 7, Digest: "d"},
		"digest":                   {Epoch: 7, Holder: base.Holder, Ledger: 3, Digest: "e"},
		"no digest":                {Epoch: 7, Holder: base.Holder, Ledger: 3},
		"the ledger in the digest": {Epoch: 7, Holder: base.Holder, Digest: "3d"},
	} {
		text := string(s.Message("u"))
		if other, ok := seen[text]; ok {
			t.Errorf("%s: the same bytes as %s", name, other)
		}
		seen[text] = name
	}
	if other, ok := seen[string(base.Message("v"))]; ok {
		t.Errorf("another pair: the same bytes as %s", other)
	}
	signed := base
	signed.Signature = "s"
	if !bytes.Equal(signed.Message("u"), base.Message("u")) {
		t.Error("the signature is a part of what is signed")
	}
}
