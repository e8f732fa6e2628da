package agent

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// quarantineGuard measures what was saved on the volume, and removes what is old.
type quarantineGuard struct {
	peerName pair.MemberName
	log      logr.Logger
	vol      *volume.Volume
	state    *board
	peer     peerSource
	config   func() agentapi.Config
}

// prune measures the quarantine and removes what the pair's retention lets go, unless
// there is a doubt about the pair's data: what is saved may be the only copy of something.
func (q *quarantineGuard) prune() {
	retention := volume.RetentionOf(q.config())
	limit, err := retention.Bytes(q.vol)
	if err != nil {
		q.log.Error(err, "cannot prune the quarantine")
		return
	}
	list, err := q.vol.Saved()
	if err != nil {
		q.log.Error(err, "cannot prune the quarantine")
		return
	}
	due, left := volume.DueForRemoval(list, limit, time.Now().Add(-retention.Time))
	use := agentapi.QuarantineUse{Limit: limit}
	if len(due) > 0 {
		if use.Kept = q.pruning().Doubt(); use.Kept == "" {
			use.Removal = q.removeSaved(due, retention)
			if list, err = q.vol.Saved(); err != nil {
				q.log.Error(err, "cannot measure the quarantine")
				return
			}
		}
	}
	use.Entries = len(list)
	for _, one := range list {
		use.Bytes += one.Bytes
	}
	q.state.quarantineUse(use)
	if left > limit {
		q.state.problem(agentapi.ProblemQuarantineLarge, fmt.Sprintf("the quarantine takes more than the %s of "+
			"spec.rejoin.quarantineRetention.size with what is younger than %s or marked to be kept: raise the size, "+
			"or copy away what is wanted and remove it from %s", retention.Size, retention.Time, q.vol.QuarantineDir()))
	} else {
		q.state.resolve(agentapi.ProblemQuarantineLarge)
	}
}

// pruning is what is known of the pair's data.
func (q *quarantineGuard) pruning() judge.Pruning {
	peer, silent := q.peer.last()
	return judge.Pruning{
		Lossless: q.config().Lossless,
		Peer:     q.peerName,
		Record:   q.state.lastLease(),
		Mine:     q.state.snapshot(),
		Theirs:   peer,
		TheirAge: silent,
	}
}

// removeSaved removes what is due, and says what that was.
func (q *quarantineGuard) removeSaved(due []volume.Saved, retention volume.Retention) *agentapi.QuarantineRemoval {
	entries := map[string]agentapi.QuarantineEntry{}
	described, err := quarantine.Of(q.vol, retention).List()
	if err != nil {
		// It is removed all the same: a quarantine that cannot be read would fill the volume.
		q.log.Error(err, "cannot describe what is removed from the quarantine")
	}
	for _, entry := range described.Entries {
		entries[filepath.Join(q.vol.QuarantineDir(), entry.Name)] = entry
	}
	removal := &agentapi.QuarantineRemoval{At: time.Now().UTC()}
	for _, one := range due {
		if err := q.vol.RemoveSaved(one); err != nil {
			q.log.Error(err, "cannot prune the quarantine")
			continue
		}
		removed := describeRemoved(q.vol, one, entries[one.Path])
		q.log.Info("removed from the quarantine", "entry", removed.Name, "kind", removed.Kind, "savedAt", removed.SavedAt,
			"bytes", removed.Bytes, "gtids", removed.GTIDs)
		removal.Total++
		removal.Bytes += one.Bytes
		if len(removal.Entries) < agentapi.MostRemoved {
			removal.Entries = append(removal.Entries, removed)
		}
	}
	if removal.Total == 0 {
		return nil
	}
	return removal
}

// mostGTIDs is how much of an entry's GTIDs a removal names, in bytes.
const mostGTIDs = 200

func describeRemoved(vol *volume.Volume, one volume.Saved, entry agentapi.QuarantineEntry) agentapi.QuarantineRemoved {
	removed := agentapi.QuarantineRemoved{
		Name:    entry.Name,
		Kind:    entry.Kind,
		SavedAt: entry.SavedAt,
		Bytes:   one.Bytes,
		GTIDs:   entry.GTIDs,
	}
	if removed.Name == "" { // the note beside a tail, or what could not be described
		removed.Kind = agentapi.QuarantineOther
		removed.SavedAt = one.At.UTC()
		removed.Name = filepath.Base(one.Path)
		if name, err := filepath.Rel(vol.QuarantineDir(), one.Path); err == nil {
			removed.Name = name
		}
	}
	if len(removed.GTIDs) > mostGTIDs {
		removed.GTIDs = removed.GTIDs[:mostGTIDs] + "..."
	}
	return removed
}

// quarantineUse publishes what the quarantine takes. The last removal stays until the next one.
func (b *board) quarantineUse(use agentapi.QuarantineUse) {
	b.mu.Lock()
	if use.Removal == nil && b.quarantine != nil {
		use.Removal = b.quarantine.Removal
	}
	b.quarantine = &use
	b.mu.Unlock()
	b.bump()
}

// keyOfVolume changes with what is news about the volume; sizes are not.
func keyOfVolume(s agentapi.State) string {
	key := fmt.Sprint(s.VolumeLow, s.BinlogVolumeLow)
	if q := s.Quarantine; q != nil {
		key += fmt.Sprint(q.Entries, q.Kept)
		if q.Removal != nil {
			key += q.Removal.At.String()
		}
	}
	return key
}
