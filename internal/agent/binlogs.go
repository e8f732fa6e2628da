package agent

import (
	"errors"
	"fmt"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// lostBinlogs says that the member's data has lost its binary logs, and what follows. A member whose
// data counts as void is treated like one whose data is lost: it is never a candidate, and is copied
// from a primary that is open.
func lostBinlogs(self pair.MemberName, err error) string {
	return fmt.Sprintf("volume claim %s: %v; data without its binary logs is not used, since nobody can tell which of its last "+
		"transactions were committed: %s is copied again from the other member once that is the primary",
		pair.BinlogClaim(self), err, self)
}

// hasItsBinlogs publishes why a volume is not taken because of its binary logs; false for that.
// Logs that the data of this very pair has lost are no such reason: see look.
func (t *intake) hasItsBinlogs(found foundVolume, owner volume.Owner) bool {
	id := found.identity
	if id.Owner == (volume.Owner{}) {
		id.Owner = owner
	}
	if id.Owner != owner {
		return true // the volume of the data is foreign already
	}
	err := t.vol.CheckBinlogs(id)
	claim := "volume claim " + pair.BinlogClaim(t.env.PodName) + ": "
	switch {
	case err == nil, errors.Is(err, volume.ErrBinlogsLost) && id.PairUID == t.env.PairUID:
		return true
	case errors.Is(err, volume.ErrBinlogsLost):
		seen := describeFound(found)
		seen.Void = true // nobody may take it up as the pair's data
		t.state.blocked(agentapi.PhaseForeign, agentapi.ProblemBinlogsLost, fmt.Sprintf("%s%v; the data last served an earlier pair of "+
			"this name and is not taken up: give the member the volume that it had, or delete both of its claims and its pod", claim, err), seen)
	case errors.Is(err, volume.ErrBinlogsElsewhere):
		t.state.blocked(agentapi.PhaseVolumeLost, agentapi.ProblemBinlogsLost, fmt.Sprintf("%v; spec.storage.binlog has to be as it was "+
			"when the data was made: give the pair the volumes that it had", err), nil)
	case errors.Is(err, volume.ErrForeign):
		t.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume,
			fmt.Sprintf("%s%v; give the member an empty volume for its binary logs, or the one that it had", claim, err), &agentapi.FoundVolume{})
	default:
		t.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), claim+err.Error(), nil)
	}
	return false
}

// withoutBinlogs is the end of a start of mysqld on data whose binary logs are not there.
func (s *starter) withoutBinlogs(err error) {
	s.log.Error(err, "mysqld is not started")
	if errors.Is(err, volume.ErrBinlogsLost) {
		id := s.data.get()
		id.Void = true
		s.data.set(id)
		s.state.problem(agentapi.ProblemBinlogsLost, lostBinlogs(id.Member, err))
		s.post(authority.DataGone{At: process.Now()})
	} else {
		s.state.problem(problemOfVolume(err), err.Error())
	}
	s.post(authority.MysqldExited{At: process.Now()})
	s.state.bump()
}

// binlogMarks notes how far the binary logs reach, so that an older state of their volume is
// recognized at the next start.
type binlogMarks struct {
	log  logr.Logger
	vol  *volume.Volume
	data *dataset
}

func (m *binlogMarks) note() {
	if err := m.vol.MarkBinlogs(m.data.id()); err != nil {
		m.log.V(1).Info("how far the binary logs reach is not noted", "reason", err.Error())
	}
}

// sizeOfBinlogs is the field of the spec with the size of the volume of the binary logs.
func sizeOfBinlogs(vol *volume.Volume) string {
	if vol.HasBinlogVolume() {
		return "spec.storage.binlog.size"
	}
	return "spec.storage.size"
}
