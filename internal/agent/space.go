package agent

import (
	"errors"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// volumeKind tells a member's volumes apart.
type volumeKind int

// The volumes of a member. Without one of their own the binary logs are on that of the data.
const (
	dataVolume volumeKind = iota
	binlogVolume
)

// label is the value of the metrics' label.
func (k volumeKind) label() string {
	if k == binlogVolume {
		return "binlog"
	}
	return "data"
}

// spaceUse is what a volume holds, and how it has filled. The board's lock guards it.
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
	switch {
	case asGoodAsFull(s.vol.Root()):
		s.state.problem(agentapi.ProblemVolumeFull, "less than 64Mi are free on the volume; raise spec.storage.size or remove data")
		return
	case s.vol.HasBinlogVolume() && asGoodAsFull(s.vol.BinlogRoot()):
		s.state.problem(agentapi.ProblemVolumeFull,
			"less than 64Mi are free on the volume of the binary logs; raise spec.storage.binlog.size or lower spec.mysql.binlogMaxSize")
		return
	}
	s.state.resolve(agentapi.ProblemVolumeFull)
	if err := s.vol.KeepReserve(); err != nil {
		s.log.V(1).Info("no reserve on the volume", "reason", err.Error())
	}
}

// asGoodAsFull is false as well when the volume mounted at root cannot be measured.
func asGoodAsFull(root string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(root, &fs) == nil && int64(fs.Bavail)*fs.Bsize < fullBelow
}

// measure measures the volumes. A warning about one is no problem of the member, which goes on
// doing its part until the volume is full.
func (s *volumeSpace) measure() {
	space, err := s.vol.Space()
	if err == nil {
		s.state.measured(dataVolume, space)
	}
	if s.vol.HasBinlogVolume() {
		space, logErr := s.vol.BinlogSpace()
		if logErr == nil {
			s.state.measured(binlogVolume, space)
		}
		err = errors.Join(err, logErr)
	}
	if err != nil {
		s.log.V(1).Info("cannot measure the volume", "reason", err.Error())
	}
}

func (b *board) measured(kind volumeKind, space volume.Space) {
	b.mu.Lock()
	use := &b.space[kind]
	before := use.low
	use.last = space
	use.low = judge.LowSpace(space, before)
	use.filling.Add(process.Now(), space.Used)
	low := use.low
	b.mu.Unlock()
	if low != before {
		b.log.Info("free space of the volume", "volume", kind.label(), "belowPercent", low, "freeBytes", space.Free, "usedBytes", space.Used)
		b.bump()
	}
}

// daysUntilFull is what the metric says; see judge.Filling.
func (b *board) daysUntilFull(kind volumeKind) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	use := &b.space[kind]
	return use.filling.Days(use.last.Free)
}

func (b *board) spaceNow(kind volumeKind) volume.Space {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.space[kind].last
}

// volumeGauges are those of one volume, and are read when they are asked for.
func volumeGauges(state *board, kind volumeKind) []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace:   metricNamespace,
			Subsystem:   metricSubsystem,
			Name:        name,
			Help:        help,
			ConstLabels: prometheus.Labels{"volume": kind.label()},
		}, value)
	}
	return []prometheus.Collector{
		gauge("volume_used_bytes", "What the volume holds.", func() float64 { return float64(state.spaceNow(kind).Used) }),
		gauge("volume_free_bytes", "What is free on the volume.", func() float64 { return float64(state.spaceNow(kind).Free) }),
		gauge("volume_full_days", "Days until the volume is full, as it has filled lately.",
			func() float64 { return state.daysUntilFull(kind) }),
	}
}
