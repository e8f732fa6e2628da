package agent

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// pruneQuarantine measures the quarantine and removes what the pair's retention lets go, unless
// there is a doubt about the pair's data: what is saved may be the only copy of something.
func (a *Agent) pruneQuarantine() {
	retention := volume.RetentionOf(a.settings.get())
	limit, err := retention.Bytes(a.vol)
	if err != nil {
		a.log.Error(err, "cannot prune the quarantine")
		return
	}
	list, err := a.vol.Saved()
	if err != nil {
		a.log.Error(err, "cannot prune the quarantine")
		return
	}
	due, left := volume.DueForRemoval(list, limit, time.Now().Add(-retention.Time))
	use := agentapi.QuarantineUse{Limit: limit}
	if len(due) > 0 {
		if use.Kept = a.pruning().Doubt(); use.Kept == "" {
			use.Removal = a.removeSaved(due, retention)
			if list, err = a.vol.Saved(); err != nil {
				a.log.Error(err, "cannot measure the quarantine")
				return
			}
		}
	}
	use.Entries = len(list)
	for _, one := range list {
		use.Bytes += one.Bytes
	}
	a.state.quarantineUse(use)
	if left > limit {
		a.state.problem(agentapi.ProblemQuarantineLarge, fmt.Sprintf("the quarantine takes more than the %s of "+
			"spec.rejoin.quarantineRetention.size with what is younger than %s or marked to be kept: raise the size, "+
			"or copy away what is wanted and remove it from %s", retention.Size, retention.Time, a.vol.QuarantineDir()))
	} else {
		a.state.resolve(agentapi.ProblemQuarantineLarge)
	}
}

// pruning is what is known of the pair's data.
func (a *Agent) pruning() judge.Pruning {
	peer, silent := a.peer.last()
	return judge.Pruning{
		Lossless: a.settings.get().Lossless,
		Peer:     a.env.Peer,
		Record:   a.state.lastLease(),
		Mine:     a.state.snapshot(),
		Theirs:   peer,
		TheirAge: silent,
	}
}

// removeSaved removes what is due, and says what that was.
func (a *Agent) removeSaved(due []volume.Saved, retention volume.Retention) *agentapi.QuarantineRemoval {
	entries := map[string]agentapi.QuarantineEntry{}
	described, err := quarantine.Open(a.vol.Root(), retention).List()
	if err != nil {
		// It is removed all the same: a quarantine that cannot be read would fill the volume.
		a.log.Error(err, "cannot describe what is removed from the quarantine")
	}
	for _, entry := range described.Entries {
		entries[filepath.Join(a.vol.QuarantineDir(), entry.Name)] = entry
	}
	removal := &agentapi.QuarantineRemoval{At: time.Now().UTC()}
	for _, one := range due {
		if err := a.vol.RemoveSaved(one); err != nil {
			a.log.Error(err, "cannot prune the quarantine")
			continue
		}
		removed := describeRemoved(a.vol, one, entries[one.Path])
		a.log.Info("removed from the quarantine", "entry", removed.Name, "kind", removed.Kind, "savedAt", removed.SavedAt,
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
	key := fmt.Sprint(s.VolumeLow)
	if q := s.Quarantine; q != nil {
		key += fmt.Sprint(q.Entries, q.Kept)
		if q.Removal != nil {
			key += q.Removal.At.String()
		}
	}
	return key
}
