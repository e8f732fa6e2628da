package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/rewind"
)

// orderRewind cuts the tail that a former primary holds since its unclean end, before
// any mysqld touches it. The agent judges by its own reading of the Lease.
func (a *Agent) orderRewind(ctx context.Context, c agentapi.RewindCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: a.state.view().Known}
	if err := a.head(c.Command); err != nil {
		return done, err
	}
	keep, err := gtid.Parse(c.HolderGTIDs)
	if err != nil || keep.IsEmpty() {
		return done, refuse(agentapi.ErrorRefused, "holderGTIDs %.100q is not what a primary's binlog holds (%v)", c.HolderGTIDs, err)
	}
	record, err := a.ownReading(ctx)
	if err != nil {
		return done, err
	}
	switch err := a.occupy(agentapi.PhaseHeld, "", func() error { return a.giving(record).MayRewind(c) }); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	a.state.bump()
	go a.rewind(a.ctx, keep)
	return done, nil
}

func (a *Agent) rewind(ctx context.Context, keep gtid.Set) {
	err := a.tryRewind(ctx, keep)
	refusal := ""
	if rewind.IsRefusal(err) {
		refusal = err.Error()
	}
	a.state.refusesRewind(refusal)
	a.vacate()
	a.post(authority.DataReady{
		At:        process.Now(),
		DataID:    a.dataID(),
		EpochFile: err == nil,
		Renewed:   err == nil,
	})
	if err != nil {
		a.log.Error(err, "cannot rewind")
		a.state.problem(agentapi.ProblemErrant, "the tail cannot be cut, the data is kept as it is: "+err.Error())
	} else {
		a.state.resolve(agentapi.ProblemErrant)
	}
	a.state.bump()
}

func (a *Agent) tryRewind(ctx context.Context, keep gtid.Set) error {
	a.post(authority.DataGone{At: process.Now()})
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for view := a.state.view(); view.Data; view = a.state.view() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	// From here on the machine starts nothing; it may have done so before.
	a.mu.Lock()
	proc := a.child.proc
	a.mu.Unlock()
	if view := a.state.view(); view.Serving != authority.Stopped || proc != nil || view.Durable.TailCommitted {
		return errors.New("mysqld was started meanwhile")
	}
	uuid, err := serverUUID(a.vol.DataDir())
	if err != nil {
		return err
	}
	a.failures.at(failBeforeRewind)
	result, err := rewind.Cut(rewind.Member{
		DataDir:    a.vol.DataDir(),
		Server:     uuid,
		Keep:       keep,
		Quarantine: a.vol.QuarantineDir(),
	}, time.Now())
	if err != nil {
		return err
	}
	a.failures.at(failAfterRewind)
	a.log.Info("rewound", "transactions", result.Tail.Transactions, "errant", result.Tail.Errant.String(), "saved", result.Saved)
	return nil
}

// serverUUID reads the UUID of a data directory whose mysqld is down.
func serverUUID(dir string) (gtid.ServerUUID, error) {
	text, err := os.ReadFile(filepath.Join(dir, "auto.cnf"))
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "server-uuid="); ok {
			return gtid.ParseServerUUID(value)
		}
	}
	return "", fmt.Errorf("%s/auto.cnf names no server-uuid", dir)
}

// refusesRewind publishes why the tail cannot be cut, so that it is not tried again and
// again; an empty reason takes that back.
func (b *board) refusesRewind(why string) {
	b.mu.Lock()
	b.rewindRefused = why
	b.mu.Unlock()
	b.bump()
}
