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

// seedFailed publishes why a copy failed and waits before the next order is taken.
func (a *Agent) seedFailed(ctx context.Context, command agentapi.SeedCommand, err error) {
	if a.failedSeeds.data != command.DataID {
		a.failedSeeds = failedSeeds{data: command.DataID}
	}
	pause := judge.SeedPause(0)
	if a.state.hasCopied() {
		a.failedSeeds.count++
		pause = judge.SeedPause(a.failedSeeds.count)
	}
	message := fmt.Sprintf("seed from %s: %v", command.Donor, err)
	if pause > judge.SeedPause(0) {
		message += fmt.Sprintf("; %d copies have failed in a row, the next one begins in %s", a.failedSeeds.count, pause)
	}
	a.log.Error(err, "cannot seed", "donor", command.Donor, "dataID", command.DataID, "failures", a.failedSeeds.count, "pause", pause)
	a.state.problem(maintenanceProblem(err), message)
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
