package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// failedSeeds are the copies that have failed in a row after they had begun. One that did not
// reach the donor cost it nothing and is tried again soon. Only the maintenance that is under way
// uses it.
type failedSeeds struct {
	data  pair.DataID // that they were to become
	count int
}

// fail publishes why a copy failed and waits before the next order is taken.
func (s *seeding) fail(ctx context.Context, command agentapi.SeedCommand, err error) {
	if s.failed.data != command.DataID {
		s.failed = failedSeeds{data: command.DataID}
	}
	pause := judge.SeedPause(0)
	if s.state.hasCopied() {
		s.failed.count++
		pause = judge.SeedPause(s.failed.count)
	}
	message := fmt.Sprintf("seed from %s: %v", command.Donor, err)
	if pause > judge.SeedPause(0) {
		message += fmt.Sprintf("; %d copies have failed in a row, the next one begins in %s", s.failed.count, pause)
	}
	s.log.Error(err, "cannot seed", "donor", command.Donor, "dataID", command.DataID, "failures", s.failed.count, "pause", pause)
	s.state.problem(maintenanceProblem(err), message)
	sleep(ctx, pause)
}

// sleep ends early with ctx.
func sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// hasCopied: the seed that is under way has received something.
func (b *board) hasCopied() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seed != nil && b.seed.Bytes > 0
}
