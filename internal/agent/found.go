package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// foundVolume is what a volume said of itself.
type foundVolume struct {
	identity   volume.Identity
	memory     volume.Memory
	remembered bool // the epoch file was there and belongs to the data, or there is no data
	renewed    bool // the data was completed just now
	moved      bool // another node's agent wrote to the volume last
}

// awaitVolume locks the volume and reads it, however long that takes. A volume of
// the same member that last served a pair of the same name, since deleted, is taken up
// once the Lease names its data; any other one is never touched.
func (a *Agent) awaitVolume(ctx context.Context, terminate <-chan os.Signal, failed <-chan error) (foundVolume, error) {
	for {
		found, ready := a.lookAtVolume(ctx)
		if ready {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return foundVolume{}, ctx.Err()
		case <-terminate:
			return foundVolume{}, errEnded
		case err := <-failed:
			return foundVolume{}, err
		case <-time.After(time.Second):
		}
	}
}

func (a *Agent) lookAtVolume(ctx context.Context) (foundVolume, bool) {
	found, err := a.readVolume()
	switch {
	case errors.Is(err, volume.ErrInUse):
		a.state.blocked(agentapi.PhaseVolumeInUse, agentapi.ProblemVolumeInUse,
			err.Error()+"; it is taken as soon as the other process has ended", nil)
		return found, false
	case errors.Is(err, volume.ErrForeign):
		a.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume,
			err.Error()+"; give the member an empty volume, or one of this pair", &agentapi.FoundVolume{})
		return found, false
	case err != nil:
		a.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
		return found, false
	}
	owner := volume.Owner{
		Namespace: a.env.Namespace,
		Pair:      a.env.PairName,
		Member:    a.env.PodName,
	}
	id := found.identity
	switch {
	case id == (volume.Identity{}):
		found.identity = volume.Identity{Owner: owner, PairUID: a.env.PairUID}
	case id.Owner != owner:
		a.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume, "the volume belongs to member "+string(id.Member)+
			" of pair "+id.Namespace+"/"+id.Pair+"; give this member a volume of its own", a.describe(found))
		return found, false
	case id.PairUID != a.env.PairUID && (id.DataID == "" || id.Void):
		found.identity.PairUID = a.env.PairUID
	case id.PairUID != a.env.PairUID:
		if !a.adoptable(ctx, found) {
			a.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume, "the volume last served an earlier pair of this name (UID "+
				string(id.PairUID)+"); it is taken up once the authority names its data", a.describe(found))
			return found, false
		}
		a.log.Info("taking up the volume of an earlier pair", "earlierPairUID", id.PairUID, "dataID", id.DataID)
		found.identity.PairUID = a.env.PairUID
	}
	if found.identity != id {
		if err := a.vol.WriteIdentity(found.identity); err != nil {
			a.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
			return found, false
		}
	}
	a.setIdentity(found.identity)
	if found, err = a.recoverMaintenance(found); err != nil {
		a.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
		return found, false
	}
	a.state.unblocked()
	return found, true
}

func (a *Agent) readVolume() (foundVolume, error) {
	var found foundVolume
	if err := a.vol.Lock(); err != nil {
		return found, err
	}
	id, exists, err := a.vol.ReadIdentity()
	if err != nil {
		return found, err
	}
	memory, remembered, err := a.vol.ReadMemory()
	if err != nil {
		return found, err
	}
	node, err := a.vol.LastNode()
	if err != nil {
		return found, err
	}
	found.identity = id
	found.memory = memory
	found.moved = node != "" && node != a.env.Node
	if memory.DataID != "" && id.DataID != "" && !id.Void && memory.DataID != id.DataID {
		// A crash came between the name of new data and the machine's note of it: what is
		// noted of an unclean end is about the data before. This was never open.
		found.memory.OpenAt = 0
		found.memory.TailCommitted = false
	}
	found.remembered = (remembered && (memory.DataID == id.DataID || memory.DataID == "")) || !exists || id.DataID == ""
	return found, nil
}

// adoptable reports whether the Lease, at an epoch above every one that the volume knows,
// names this data, or says that this member is to be seeded again.
func (a *Agent) adoptable(ctx context.Context, found foundVolume) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	record, outcome, _ := a.lease.read(ctx, false)
	if outcome != authority.ReadFound || record.PairUID != a.env.PairUID {
		return false
	}
	// A file with an epoch that no pair can have says nothing about epochs.
	if known := found.memory.Known; known.Valid() && record.Epoch <= known {
		return false
	}
	data := record.Data[a.env.PodName]
	seed := record.Seeding != nil && record.Seeding.Member == a.env.PodName
	return data == found.identity.DataID || (data == "" && seed)
}

func (a *Agent) describe(found foundVolume) *agentapi.FoundVolume {
	id := found.identity
	return &agentapi.FoundVolume{
		PairUID:    id.PairUID,
		Namespace:  id.Namespace,
		Pair:       id.Pair,
		Member:     id.Member,
		DataID:     id.DataID,
		KnownEpoch: found.memory.Known,
		Void:       id.Void,
		UncleanAt:  found.memory.OpenAt,
		Ledger:     found.memory.Seen,
	}
}

func (a *Agent) setIdentity(id volume.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.identity = id
}

func (a *Agent) getIdentity() volume.Identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.identity
}

// dataID is that of complete data, empty without.
func (a *Agent) dataID() pair.DataID {
	id := a.getIdentity()
	if id.Void {
		return ""
	}
	return id.DataID
}

func problemOfVolume(err error) agentapi.ProblemCode {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return agentapi.ProblemVolumeFull
	}
	return agentapi.ProblemVolumeUnreadable
}
