package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

const (
	// archivedNewsEvery is the shortest time between two reports to an agent of what is archived, and
	// archivedAgain the time after which the same report is sent again, since the last may not have arrived.
	archivedNewsEvery = 10 * time.Second
	archivedAgain     = time.Minute
)

// archivedTold is the last report of what is archived that was sent to one agent.
type archivedTold struct {
	start pair.AgentStart
	gtids string
	at    time.Time
}

// due reports whether a report has to be sent.
func (t archivedTold) due(start pair.AgentStart, gtids string, now time.Time) bool {
	age := now.Sub(t.at)
	changed := t.gtids != gtids && age >= archivedNewsEvery
	return t.start != start || changed || age >= archivedAgain
}

// tellArchived has the members' agents know what is archived, so that they keep what is not. It waits
// for nothing, and nothing but the removal of binary logs depends on it.
func (r *PairReconciler) tellArchived(ctx context.Context, v *visit, o failover.Observation, a status.Archive) {
	if !a.Wanted || a.Report == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for i := range o.Members {
		m := &o.Members[i]
		told := &v.session.archivedTold[i]
		if !m.Heard() || !told.due(m.State.AgentStart, a.Report.GTIDs, o.Now) {
			continue
		}
		agent, err := r.Agents.command(v.name, v.pods, fencing.Subject{Member: m.Name, PodUID: m.State.PodUID})
		if err != nil {
			continue
		}
		*told = archivedTold{
			start: m.State.AgentStart,
			gtids: a.Report.GTIDs,
			at:    o.Now,
		}
		command := agentapi.ArchivedCommand{
			PairUID:   pair.UID(v.pair.UID),
			RequestID: string(uuid.NewUUID()),
			GTIDs:     a.Report.GTIDs,
		}
		log := v.log.WithValues("member", m.Name)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, nudgeTimeout)
			defer cancel()
			if _, err := agent.Archived(ctx, command); err != nil {
				log.V(1).Info("an agent was not told what is archived", "why", err.Error())
			}
		}()
	}
}
