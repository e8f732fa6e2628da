package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// foundVolume is what a volume said of itself.
type foundVolume struct {
	identity   volume.Identity
	memory     volume.Memory
	remembered bool // the epoch file was there and belongs to the data, or there is no data
	renewed    bool // the data was completed just now
	moved      bool // another node's agent wrote to the volume last
}

// intake takes the volume at the start of the agent, before anything else is done with it.
type intake struct {
	env   Environment
	log   logr.Logger
	vol   *volume.Volume
	lease leaseSource
	state *board
	data  *dataset
}

// leaseSource reads the Lease. The outcome is Missing only on the API server's own word.
type leaseSource interface {
	read(ctx context.Context, fresh bool) (authority.Record, authority.ReadOutcome, error)
}

// await locks the volume and reads it, however long that takes. A volume of
// the same member that last served a pair of the same name, since deleted, is taken up
// once the Lease names its data; any other one is never touched.
func (t *intake) await(ctx context.Context, terminate <-chan os.Signal, failed <-chan error) (foundVolume, error) {
	for {
		found, ready := t.look(ctx)
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

func (t *intake) look(ctx context.Context) (foundVolume, bool) {
	found, err := t.read()
	switch {
	case errors.Is(err, volume.ErrInUse):
		t.state.blocked(agentapi.PhaseVolumeInUse, agentapi.ProblemVolumeInUse,
			err.Error()+"; it is taken as soon as the other process has ended", nil)
		return found, false
	case errors.Is(err, volume.ErrForeign):
		t.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume,
			err.Error()+"; give the member an empty volume, or one of this pair", &agentapi.FoundVolume{})
		return found, false
	case err != nil:
		t.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
		return found, false
	}
	found, ours := t.identify(ctx, found)
	if !ours {
		return found, false
	}
	return t.complete(found)
}

// identify publishes why the volume is not one of this member; false for that. Otherwise the volume has the
// identity that is returned.
func (t *intake) identify(ctx context.Context, found foundVolume) (foundVolume, bool) {
	owner := volume.Owner{
		Namespace: t.env.Namespace,
		Pair:      t.env.PairName,
		Member:    t.env.PodName,
	}
	id := found.identity
	if !t.hasItsBinlogs(found, owner) {
		return found, false
	}
	switch {
	case id == (volume.Identity{}):
		found.identity = volume.Identity{Owner: owner, PairUID: t.env.PairUID}
	case id.Owner != owner:
		t.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume, "the volume belongs to member "+string(id.Member)+
			" of pair "+id.Namespace+"/"+id.Pair+"; give this member a volume of its own", describeFound(found))
		return found, false
	case id.PairUID != t.env.PairUID && (id.DataID == "" || id.Void):
		found.identity.PairUID = t.env.PairUID
	case id.PairUID != t.env.PairUID:
		if !t.adoptable(ctx, found) {
			t.state.blocked(agentapi.PhaseForeign, agentapi.ProblemForeignVolume, "the volume last served an earlier pair of this name (UID "+
				string(id.PairUID)+"); it is taken up once the authority names its data", describeFound(found))
			return found, false
		}
		t.log.Info("taking up the volume of an earlier pair", "earlierPairUID", id.PairUID, "dataID", id.DataID)
		found.identity.PairUID = t.env.PairUID
	}
	if found.identity != id {
		if err := t.vol.WriteIdentity(found.identity); err != nil {
			t.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
			return found, false
		}
	}
	return found, true
}

// complete ends what a crash may have left of a volume of this member, and looks for its binary logs.
func (t *intake) complete(found foundVolume) (foundVolume, bool) {
	found, err := t.recover(found)
	if err != nil {
		t.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
		return found, false
	}
	err = t.vol.CheckBinlogs(found.identity)
	if err != nil && !errors.Is(err, volume.ErrBinlogsLost) {
		t.state.blocked(agentapi.PhaseVolumeLost, problemOfVolume(err), err.Error(), nil)
		return found, false
	}
	t.state.unblocked()
	if err != nil {
		found.identity.Void = true // until the volume says so itself, which a seed has it do first
		t.state.problem(agentapi.ProblemBinlogsLost, lostBinlogs(t.env.PodName, err))
	}
	t.data.set(found.identity)
	return found, true
}

func (t *intake) read() (foundVolume, error) {
	var found foundVolume
	if err := t.vol.Lock(); err != nil {
		return found, err
	}
	id, exists, err := t.vol.ReadIdentity()
	if err != nil {
		return found, err
	}
	memory, remembered, err := t.vol.ReadMemory()
	if err != nil {
		return found, err
	}
	node, err := t.vol.LastNode()
	if err != nil {
		return found, err
	}
	found.identity = id
	found.memory = memory
	found.moved = node != "" && node != t.env.Node
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
func (t *intake) adoptable(ctx context.Context, found foundVolume) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	record, outcome, _ := t.lease.read(ctx, false)
	if outcome != authority.ReadFound || record.PairUID != t.env.PairUID {
		return false
	}
	// A file with an epoch that no pair can have says nothing about epochs.
	if known := found.memory.Known; known.Valid() && record.Epoch <= known {
		return false
	}
	data := record.Data[t.env.PodName]
	seed := record.Seeding != nil && record.Seeding.Member == t.env.PodName
	return data == found.identity.DataID || (data == "" && seed)
}

func describeFound(found foundVolume) *agentapi.FoundVolume {
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

// recover finishes or undoes what a crash left half done. It runs before any
// command is taken.
func (t *intake) recover(found foundVolume) (foundVolume, error) {
	id := found.identity
	if id.Initializing == "" || id.Void {
		return found, nil // nothing was under way, or a seed that has to be ordered again
	}
	full, err := t.vol.HasData()
	if err != nil {
		return found, err
	}
	if full && id.DataID == "" {
		// The crash came between the rename and the name.
		id.DataID = id.Initializing
		id.SeparateBinlogs = t.vol.HasBinlogVolume()
		found.remembered = true
		found.renewed = true
	} else if err := t.vol.DropNew(); err != nil {
		return found, err
	}
	id.Initializing = ""
	id.Donor = ""
	if err := t.vol.WriteIdentity(id); err != nil {
		return found, err
	}
	found.identity = id
	return found, nil
}

func problemOfVolume(err error) agentapi.ProblemCode {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return agentapi.ProblemVolumeFull
	}
	return agentapi.ProblemVolumeUnreadable
}
