package agentapi

import (
	"github.com/dbpair/dbpair/internal/pair"
)

// SeenLedger is a ledger as an agent read it and its volume remembers it.
type SeenLedger struct {
	Epoch   pair.Epoch         `json:"epoch"`
	Version pair.LedgerVersion `json:"version"`
	// State is authority.LedgerState as text: both, solo or joining.
	State string          `json:"state"`
	First pair.MemberName `json:"first,omitempty"`
	// Incarnations are those the ledger names.
	Incarnations map[pair.MemberName]pair.Incarnation `json:"incarnations,omitempty"`
	// Holder at Epoch, as pair.Holder.String.
	Holder string `json:"holder,omitempty"`
}

// With is what is remembered after a record was read. What was read first of an epoch or of
// a version of the ledger stays: an operator writes each once, so that another content under
// the same number shows that the Lease was modified externally. s may be nil; neither it nor
// read is changed.
func (s *SeenLedger) With(read SeenLedger) *SeenLedger {
	if s == nil {
		return &read
	}
	next := *s
	if read.Epoch > s.Epoch {
		next.Epoch = read.Epoch
		next.Holder = read.Holder
	}
	if read.Version > s.Version {
		next.Version = read.Version
		next.State = read.State
		next.First = read.First
		next.Incarnations = read.Incarnations
	}
	return &next
}

// FoundVolume is the identity of a volume that belongs to another pair or member.
type FoundVolume struct {
	PairUID   pair.UID        `json:"pairUID"`
	Namespace string          `json:"namespace,omitempty"`
	Pair      string          `json:"pair,omitempty"`
	Member    pair.MemberName `json:"member"`
	DataID    pair.DataID     `json:"dataID,omitempty"`
	// KnownEpoch is the highest epoch on the volume.
	KnownEpoch pair.Epoch `json:"knownEpoch"`
	// Void: the data was given up for a seed that did not finish.
	Void bool `json:"void,omitempty"`
	// UncleanAt is the epoch of its open-at marker; zero after a clean stop.
	UncleanAt pair.Epoch  `json:"uncleanAt,omitempty"`
	Ledger    *SeenLedger `json:"ledger,omitempty"`
}
