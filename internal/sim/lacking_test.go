package sim

import (
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// setsFor are the sets by which the asker judges what it lacks; nil when it has everything that
// could be lacking. They are long, so that they are written out only where they matter.
func (a *agentSim) setsFor(asker *agentSim) *agentapi.State {
	s := a.mysqld
	if s == nil || s.dead || !s.up || a.m.vol.void {
		return nil
	}
	their := asker.mysqld
	if their == nil || (asker.lack == nil && !s.withholds(their)) {
		return nil
	}
	return &agentapi.State{
		PairUID: pairUID,
		DataID:  a.m.vol.id,
		Server: &agentapi.Server{
			PurgedGTIDs:  a.w.gtids(s.data.purged),
			GTIDExecuted: a.w.gtids(s.data.committed),
		},
	}
}

// withholds: this server has executed what the other one lacks and never gets from it.
func (s *mysqld) withholds(other *mysqld) bool {
	has := other.data.received()
	if s.data.purged.missing(has) >= 0 {
		return true
	}
	lacks := s.data.committed.clone()
	for t := lacks.missing(has); t >= 0; t = lacks.missing(has) {
		if other.wrote(t) {
			return true
		}
		lacks.remove(t)
	}
	return false
}

// judgeLack publishes what the peer has executed and cannot send to this member.
func (a *agentSim) judgeLack(peer *agentapi.State) {
	s := a.mysqld
	if peer == nil && a.lack == nil {
		return
	}
	if s == nil || s.dead || !s.up || s.gate.stopped > 0 || a.machine == nil {
		return
	}
	switch a.machine.View().Serving {
	case authority.Serves:
		a.lack = nil
		return
	case authority.Shut:
	case authority.Stopped, authority.Booting, authority.Opening, authority.Closing, authority.Killing, authority.Ending:
		return
	}
	missing, of, err := a.purged.Lacks(peer, s.status())
	switch {
	case err != nil:
		panic(err)
	case missing.IsEmpty():
		a.lack = nil
	default:
		if a.lack == nil {
			a.w.tracef("%s: lacks %s", a.m.name, missing)
			a.w.fired["lack"]++
		}
		a.lack = &agentapi.Lack{
			DataID:     a.m.vol.id,
			PeerDataID: of,
			GTIDs:      missing.String(),
		}
	}
}
