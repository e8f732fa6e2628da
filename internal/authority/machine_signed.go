package authority

import "github.com/dbpair/dbpair/internal/pair"

// shows reports whether a statement shows that an epoch exists: an operator of this pair
// signed it. What a member merely says of epochs it could have made up.
func (m *Machine) shows(s pair.SignedEpoch, e pair.Epoch) bool {
	return s.Epoch == e && m.cfg.Verify.Valid(m.cfg.PairUID, s)
}

// learn raises the known epoch to one that someone else knows. Without a valid signature
// it does not: it then reads the Lease as soon as it may, which says what is true.
func (m *Machine) learn(e pair.Epoch, s pair.SignedEpoch) bool {
	if !m.shows(s, e) {
		m.ask.doubted = true
		return false
	}
	m.raise(e)
	m.want.Signed = s
	return true
}

// evidence is what shows others the epoch that is known here; the zero value when it was
// learned without.
func (m *Machine) evidence() pair.SignedEpoch {
	if m.want.Signed.Epoch != m.want.Known {
		return pair.SignedEpoch{}
	}
	return m.want.Signed
}

// keep keeps the statement of the newest record that was read at the known epoch.
func (m *Machine) keep(r Record) {
	if r.Epoch == m.want.Known && r.Signed.Signature != "" {
		m.want.Signed = r.Signed
	}
}
