package pair

import (
	"encoding/binary"
	"strconv"
)

// SignedEpoch is what the operator signed about one state of the authority. It is
// comparable; the zero value is no statement. Whether the signature is valid is not known
// here: Message says what it has to be of.
type SignedEpoch struct {
	// Epoch, Holder and Ledger of the authority; the zero Holder is nobody.
	Epoch  Epoch         `json:"epoch,omitempty"`
	Holder Holder        `json:"holder,omitzero"`
	Ledger LedgerVersion `json:"ledger,omitempty"`
	// Digest of everything else that the authority says, in hexadecimal.
	Digest string `json:"digest,omitempty"`
	// Signature in base64; empty for none.
	Signature string `json:"signature,omitempty"`
}

// signedDomain keeps these signatures apart from everything else that the key signs, and
// names the form of the message.
const signedDomain = "dbpair.io/authority/v1"

// Message is what is signed: every field but the signature, and the pair, each with its
// length before it, so that no two statements have the same bytes.
func (s SignedEpoch) Message(uid UID) []byte {
	var out []byte
	for _, field := range []string{
		signedDomain,
		string(uid),
		strconv.FormatInt(int64(s.Epoch), 10),
		string(s.Holder.Member),
		string(s.Holder.PodUID),
		strconv.FormatInt(int64(s.Ledger), 10),
		s.Digest,
	} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return out
}
