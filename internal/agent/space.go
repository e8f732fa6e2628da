package agent

import (
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// spaceUse is what the volume holds, and how it has filled. The board's lock guards it.
type spaceUse struct {
	last    volume.Space
	low     int
	filling judge.Filling
}

// volumeSpace watches what is free on the volume, and keeps a reserve there for the agent's own
// files.
type volumeSpace struct {
	log   logr.Logger
	vol   *volume.Volume
	state *board
}

// fullBelow is the free space at which a volume counts as full: mysqld waits for room
// from there on, and a person has to know before.
const fullBelow = 64 << 20

// check names a volume that is as good as full.
func (s *volumeSpace) check() {
	var fs unix.Statfs_t
	if unix.Statfs(s.vol.Root(), &fs) != nil {
		return
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < fullBelow {
		s.state.problem(agentapi.ProblemVolumeFull, "less than 64Mi are free on the volume; raise spec.storage.size or remove data")
	} else {
		s.state.resolve(agentapi.ProblemVolumeFull)
		if err := s.vol.KeepReserve(); err != nil {
			s.log.V(1).Info("no reserve on the volume", "reason", err.Error())
		}
	}
}

// measure measures the volume. A warning about it is no problem of the member, which goes on
// doing its part until the volume is full.
func (s *volumeSpace) measure() {
	space, err := s.vol.Space()
	if err != nil {
		s.log.V(1).Info("cannot measure the volume", "reason", err.Error())
		return
	}
	s.state.measured(space)
}

func (b *board) measured(space volume.Space) {
	b.mu.Lock()
	before := b.space.low
	b.space.last = space
	b.space.low = judge.LowSpace(space, before)
	b.space.filling.Add(process.Now(), space.Used)
	low := b.space.low
	b.mu.Unlock()
	if low != before {
		b.log.Info("free space of the volume", "belowPercent", low, "freeBytes", space.Free, "usedBytes", space.Used)
		b.bump()
	}
}

// daysUntilFull is what the metric says; see judge.Filling.
func (b *board) daysUntilFull() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.space.filling.Days(b.space.last.Free)
}

func (b *board) spaceNow() volume.Space {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.space.last
}

// volumeGauges are read when they are asked for.
func volumeGauges(state *board) []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metricNamespace,
			Subsystem: metricSubsystem,
			Name:      name,
			Help:      help,
		}, value)
	}
	return []prometheus.Collector{
		gauge("volume_used_bytes", "What the volume holds.", func() float64 { return float64(state.spaceNow().Used) }),
		gauge("volume_free_bytes", "What is free on the volume.", func() float64 { return float64(state.spaceNow().Free) }),
		gauge("volume_full_days", "Days until the volume is full, as it has filled lately.", state.daysUntilFull),
	}
}
