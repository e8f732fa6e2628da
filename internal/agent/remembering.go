package agent

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// memoryFile is the epoch file on the volume, of which one goroutine is the writer.
type memoryFile struct {
	log      logr.Logger
	vol      *volume.Volume
	state    *board
	post     func(authority.Event)
	due      chan memory
	failures *failpoints
}

// memory is one write of the epoch file.
type memory struct {
	seq int
	volume.Memory
}

// persist hands the newest content to the one writer. A volume that hangs holds up what
// depends on it and nothing else.
func (f *memoryFile) persist(act authority.Persist) {
	due := memory{seq: act.Seq, Memory: volume.Memory{Durable: act.Durable, Seen: f.state.seenLedger()}}
	select {
	case f.due <- due:
	default:
		f.post(authority.Persisted{At: process.Now(), Seq: act.Seq})
	}
}

// run writes what is due, one at a time, until ctx ends.
func (f *memoryFile) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-f.due:
			f.failures.at(failBeforePersist)
			err := f.vol.WriteMemory(due.Memory)
			f.failures.at(failAfterPersist)
			if err != nil {
				f.log.Error(err, "cannot write the epoch file")
				f.state.problem(problemOfVolume(err), err.Error())
			} else {
				f.state.resolve(agentapi.ProblemVolumeUnreadable)
			}
			f.post(authority.Persisted{
				At:  process.Now(),
				Seq: due.seq,
				OK:  err == nil,
			})
		}
	}
}

// volumeBeat writes to the volume all the time.
type volumeBeat struct {
	log   logr.Logger
	vol   *volume.Volume
	node  string // that the pod runs on
	post  func(authority.Event)
	moved bool // another node's agent wrote to the volume last
}

// beatPeriod is the time between two writes that show that the volume is still attached.
const beatPeriod = time.Second

// run shows the machine that the volume takes writes. It is a goroutine of its own: a volume
// that hangs holds up nothing but this agent's confirmations for its peer.
func (b *volumeBeat) run(ctx context.Context) {
	failed := false
	taken := false
	// As long as a process on the former node may confirm, a next process here has to know.
	take := process.Now()
	if b.moved {
		take = take.Add(authority.BeatMost)
	}
	every(ctx, beatPeriod, func() {
		begun := process.Now()
		var err error
		if !taken && begun >= take {
			err = b.vol.TakeNode(b.node)
			taken = err == nil
		} else {
			err = b.vol.Beat()
		}
		if err == nil {
			b.post(authority.VolumeBeat{At: process.Now(), Begun: begun})
		} else if !failed {
			b.log.Error(err, "the volume takes no write, so that the peer's questions are refused")
		}
		failed = err != nil
	})
}
