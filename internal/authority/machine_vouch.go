package authority

import "time"

// BeatMost is how old the last write to the volume may be for a confirmation: some writes of
// a slow volume, and less than it takes to attach it to another machine and start a process
// there.
const BeatMost = 5 * time.Second

// vouchAsked confirms for the peer, or refuses to. An epoch that the peer knows and this
// member does not is written down before any word is given for it: after an older Lease
// was restored an operator that asks only this member would take the peer's authority for
// one that runs out, and lead the pair into that epoch a second time.
func (m *Machine) vouchAsked(e VouchAsked) {
	credible := e.PairUID == m.cfg.PairUID && e.Asker == m.cfg.Peer && e.Epoch.Valid()
	recordable := m.data && m.epochFile
	higher := credible && recordable && e.Epoch > m.want.Known
	if higher && m.learn(e.Epoch, e.Signed) {
		m.confirmUpTo = e.Epoch
	}
	why := m.whyNoVouch(e)
	if why == "" {
		m.vouchedAt = m.now
	}
	m.do(AnswerVouch{
		Nonce:        e.Nonce,
		Epoch:        e.Epoch,
		Given:        why == "",
		Why:          why,
		Data:         m.want.DataID,
		Known:        m.want.Known,
		Holder:       m.want.Holder,
		Open:         m.serving.mayWrite(),
		ClaimsHolder: m.claimsHolder(),
		Signed:       m.evidence(),
		PeerMysqld: PeerMysqld{
			ReportsMysqld: true,
			Incarnation:   m.run.incarnation,
			Ending:        m.ending,
		},
	})
}

// whyNoVouch says why the peer gets no confirmation; empty when it does.
func (m *Machine) whyNoVouch(e VouchAsked) string {
	if why := m.notForPeer(e); why != "" {
		return why
	}
	if why := m.cannotVouch(); why != "" {
		return why
	}
	return m.notHolderAt(e)
}

// notForPeer says why a question is none that this member's peer could put.
func (m *Machine) notForPeer(e VouchAsked) string {
	switch {
	case e.PairUID != m.cfg.PairUID:
		return "another pair"
	case e.Asker != m.cfg.Peer:
		return "the asker is not the peer"
	case !e.Epoch.Valid():
		return "no pair can have this epoch"
	default:
		return ""
	}
}

// cannotVouch says why this member can confirm nothing to anyone at present.
func (m *Machine) cannotVouch() string {
	switch {
	case !m.data:
		return "no data, or void data"
	case !m.epochFile:
		return "the epoch file was not readable at the start"
	case !m.readEver:
		return "the Lease has not been read since the start"
	case m.beatAt == 0 || m.now >= m.beatAt.Add(BeatMost):
		// The volume may be attached elsewhere, with another process that has ceased for it.
		return "the volume has taken no write for too long"
	default:
		return ""
	}
}

// notHolderAt says what speaks, by what this member knows, against the asker as the holder at
// the epoch that it names.
func (m *Machine) notHolderAt(e VouchAsked) string {
	switch {
	case e.Epoch < m.want.Known:
		return "a higher epoch is known"
	case e.Epoch > m.want.Known:
		return "the epoch is not known here, and no valid signature shows it"
	case e.Epoch > m.have.Known:
		return "the epoch is new here and is being written down"
	case e.Epoch < m.want.Ceased:
		// At the ceased epoch itself the word is good: a passive that was asked to fence
		// under a standing holder goes on vouching for that holder.
		return "ceased at a higher epoch"
	case m.claimsHolder(), m.serving.mayWrite():
		return "takes itself for the holder"
	case e.Epoch == m.want.Known && m.want.HolderRead && m.want.Holder.Member != e.Asker:
		return "another holder at this epoch"
	default:
		return ""
	}
}
