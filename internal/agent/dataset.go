package agent

import (
	"errors"
	"sync"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// dataset is what is known of the data on the volume, and whether it is being replaced.
type dataset struct {
	over func() // called without the lock when a maintenance is over; nil for nothing

	mu       sync.Mutex
	identity volume.Identity
	busy     *maintenance // a seed, initialization or rewind under way
}

// maintenance is an initialization, a seed or a rewind under way: the machine's mysqld is
// stopped and stays so meanwhile.
type maintenance struct {
	phase agentapi.Phase
	data  pair.DataID
}

// errBusy: another maintenance is under way.
var errBusy = errors.New("the data is being replaced already")

// errSame: the very same maintenance is under way, or done.
var errSame = errors.New("under way or done already")

// occupy begins a maintenance that is neither under way nor done (errSame) and, while no
// other is under way (errBusy), may be. It is judged after it is begun: what a maintenance
// leaves on the volume before its last step is no reason to refuse that very maintenance.
func (d *dataset) occupy(phase agentapi.Phase, data pair.DataID, may func() error) error {
	if err := d.claim(phase, data); err != nil {
		return err
	}
	if err := may(); err != nil {
		d.vacate()
		return err
	}
	return nil
}

func (d *dataset) claim(phase agentapi.Phase, data pair.DataID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.busy != nil && d.busy.data == data && d.busy.phase == phase:
		return errSame
	case d.busy != nil:
		return errBusy
	case data != "" && d.identity.DataID == data && !d.identity.Void:
		return errSame
	}
	d.busy = &maintenance{phase: phase, data: data}
	return nil
}

// vacate ends the maintenance under way.
func (d *dataset) vacate() {
	d.mu.Lock()
	d.busy = nil
	d.mu.Unlock()
	if d.over != nil {
		d.over()
	}
}

// now is the identity and what is under way, of one instant.
func (d *dataset) now() (volume.Identity, *maintenance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity, d.busy
}

func (d *dataset) set(id volume.Identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.identity = id
}

func (d *dataset) get() volume.Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity
}

// id is that of complete data, empty without.
func (d *dataset) id() pair.DataID {
	id := d.get()
	if id.Void {
		return ""
	}
	return id.DataID
}
