package failover

import (
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// dropImpossible takes out of the observation what no pair can have: epochs and ledger
// versions out of range. An agent that names one is not believed in anything else, and a
// status that has one says nothing about the past.
func (l *look) dropImpossible() {
	if !l.History.Epoch.Valid() {
		l.History.Epoch = 0
	}
	for i := range l.Members {
		if m := &l.Members[i]; m.State != nil && !possible(m.State) {
			m.Reach = BadAnswer
			m.State = nil
		}
	}
}

func possible(s *agentapi.State) bool {
	valid := s.KnownEpoch.Valid() && s.ActedLedger.Valid() && s.OpenEpoch.Valid() && s.LeaseEpoch.Valid()
	valid = valid && (s.Ledger == nil || validLedger(s.Ledger))
	if f := s.Found; f != nil {
		valid = valid && f.KnownEpoch.Valid() && (f.Ledger == nil || validLedger(f.Ledger))
	}
	return valid
}

func validLedger(s *agentapi.SeenLedger) bool { return s.Epoch.Valid() && s.Version.Valid() }

// credible reports whether an epoch that a label names can be one of this pair: not far
// above the highest epoch that the operator itself has written. Anyone who can label a pod
// could otherwise leave no number for the next epoch.
func (l *look) credible(e pair.Epoch) bool {
	base := l.History.Epoch
	if l.Authority.Reading == Read {
		base = max(base, l.e)
	}
	if r := l.History.Accepted; r != nil {
		base = max(base, r.Epoch)
	}
	return e.Valid() && e <= base+pair.MaxJump
}
