package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/mysqlops/conformance"
	"github.com/dbpair/dbpair/internal/pair"
)

// The simulator's model of mysqld does what a real one does: both pass this suite.
func TestConformance(t *testing.T) {
	for seed := range uint64(5) {
		conformance.Run(t, func(*testing.T) (a, b *conformance.Member) {
			w := newWorld(seed, scenario{lossless: true, heartbeat: time.Second})
			return newModeled(w, 0).member(), newModeled(w, 1).member()
		})
	}
}

var errNoAnswer = errors.New("mysqld does not answer")

// modeled is a mysqld of the simulator without an agent that looks after it.
type modeled struct {
	w *world
	m *memberSim
	a *agentSim
}

func newModeled(w *world, i int) *modeled {
	m := w.members[i]
	d := &modeled{w: w, m: m, a: &agentSim{w: w, m: m}}
	m.boxes = append(m.boxes, d.a)
	m.vol.data = w.newData()
	d.boot()
	return d
}

func (d *modeled) boot() {
	s := &mysqld{
		w:    d.w,
		m:    d.m,
		a:    d.a,
		data: d.m.vol.data,
		inc:  pair.Incarnation(d.w.id("inc")),
	}
	d.a.mysqld = s
	s.recover()
}

func (d *modeled) pause() { d.w.run(d.w.now + 5*time.Millisecond) }

// ask runs f in the mysqld, unless it has ended.
func (d *modeled) ask(f func(s *mysqld)) error {
	if d.a.mysqld.dead {
		return errNoAnswer
	}
	f(d.a.mysqld)
	return nil
}

func (d *modeled) member() *conformance.Member {
	return &conformance.Member{
		Server:    d,
		Commit:    d.commit,
		Kill:      func() { d.a.mysqld.die() },
		Boot:      d.boot,
		Replicate: func(*conformance.Member) error { return nil }, // it knows no other source than its peer
		Copy:      d.copy,
		Pause:     d.pause,
		Forget:    func() error { return d.ask(func(s *mysqld) { s.data.forget() }) },
		Purge:     func() error { return d.ask(func(s *mysqld) { s.purge() }) },
		Import:    func() error { return d.ask(func(s *mysqld) { s.importDump() }) },
	}
}

func (d *modeled) commit() <-chan error {
	answer := make(chan error, 1)
	d.a.mysqld.write(func(acknowledged bool, _ int) {
		if acknowledged {
			answer <- nil
			return
		}
		answer <- errNoAnswer
	})
	return answer
}

func (d *modeled) copy(*conformance.Member) error {
	donor := d.w.members[1-d.m.index].running()
	if donor == nil {
		return errNoAnswer
	}
	d.a.mysqld.die()
	d.m.vol.data = donor.data.copy(d.w.newData().server)
	d.boot()
	return nil
}

// Status implements conformance.Server.
func (d *modeled) Status(context.Context) (out mysqlops.Status, err error) {
	err = d.ask(func(s *mysqld) { out = s.status() })
	return out, err
}

// Open implements conformance.Server.
func (d *modeled) Open(_ context.Context, waiting bool) error {
	return d.ask(func(s *mysqld) { s.admit(waiting) })
}

// Fence implements conformance.Server.
func (d *modeled) Fence(context.Context) (out mysqlops.Fenced, err error) {
	err = d.ask(func(s *mysqld) {
		closed := s.fence()
		now := s.status()
		out = mysqlops.Fenced{
			OfflineMode:    now.OfflineMode,
			ReadOnly:       closed,
			SuperReadOnly:  closed,
			WaitingCommits: now.SemiSync.WaitSessions,
			Executed:       now.Executed,
			Binlog:         now.Binlog,
			ReRead:         true,
		}
	})
	return out, err
}

// StartWaiting implements conformance.Server.
func (d *modeled) StartWaiting(context.Context) error {
	return d.ask(func(s *mysqld) { s.setWaiting(true) })
}

// StopWaiting implements conformance.Server.
func (d *modeled) StopWaiting(context.Context, uint64) error {
	return d.ask(func(s *mysqld) { s.setWaiting(false) })
}

// StartReceiver implements conformance.Server.
func (d *modeled) StartReceiver(context.Context) error {
	return d.ask(func(s *mysqld) { s.receive() })
}

// StopReceiver implements conformance.Server.
func (d *modeled) StopReceiver(context.Context) error {
	return d.ask(func(s *mysqld) { s.stopReceiving() })
}

// StartApplier implements conformance.Server.
func (d *modeled) StartApplier(context.Context) error {
	return d.ask(func(s *mysqld) {
		s.applierOff = false
		s.startApply()
	})
}

// StopApplier implements conformance.Server.
func (d *modeled) StopApplier(context.Context) error {
	return d.ask(func(s *mysqld) { s.applierOff = true })
}
