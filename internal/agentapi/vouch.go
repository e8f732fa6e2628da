package agentapi

import (
	"github.com/dbpair/dbpair/internal/pair"
)

// VouchRequest asks the peer for its confirmation.
type VouchRequest struct {
	PairUID pair.UID        `json:"pairUID"`
	Asker   pair.MemberName `json:"asker"`
	// Epoch the asker believes it holds, or wants to open at again.
	Epoch pair.Epoch `json:"epoch"`
	Nonce string     `json:"nonce"`
	// Signed shows that Epoch exists: an agent that does not know it believes nothing else.
	Signed pair.SignedEpoch `json:"signed,omitzero"`
}

// VouchReply is the peer's word: "I know no epoch above Epoch".
type VouchReply struct {
	Nonce        string          `json:"nonce"`
	Voucher      pair.MemberName `json:"voucher"`
	VoucherData  pair.DataID     `json:"voucherData"` // the data it speaks for
	AgentStart   pair.AgentStart `json:"agentStart"`
	Epoch        pair.Epoch      `json:"epoch"`
	Given        bool            `json:"given"`
	Why          string          `json:"why,omitempty"` // when not given
	KnownEpoch   pair.Epoch      `json:"knownEpoch"`
	Holder       string          `json:"holder,omitempty"` // pair.Holder.String() at KnownEpoch, when known
	Open         bool            `json:"open"`
	ClaimsHolder bool            `json:"claimsHolder"` // takes itself for the holder
	// Signed shows that KnownEpoch exists.
	Signed pair.SignedEpoch `json:"signed,omitzero"`

	// Mysqld says whether the voucher could take over; nil from an older agent.
	Mysqld *VoucherMysqld `json:"mysqld,omitempty"`
}

// VoucherMysqld is what a voucher says of its mysqld and itself.
type VoucherMysqld struct {
	// Incarnation of the mysqld that answers there; empty when none does.
	Incarnation pair.Incarnation `json:"incarnation,omitempty"`
	// Ending: the voucher's agent was asked to end.
	Ending bool `json:"ending,omitempty"`
}
