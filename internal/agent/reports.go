package agent

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// reports answer what others ask about this member. They change nothing.
type reports struct {
	access access
	gate   gate
	ops    reportServer
	mysqld *instance
	state  *board
}

// reportServer is what the reports need of mysqld.
type reportServer interface {
	statusReader
	ClientSessions(ctx context.Context) ([]mysqlops.ClientSession, error)
}

// serveState says how the member is: at once, at the next news of it, or after mysqld was asked again.
func (p *reports) serveState(w http.ResponseWriter, r *http.Request) {
	if err := p.access.authorize(r.TLS, agentapi.PathState); err != nil {
		writeError(w, err)
		return
	}
	q := r.URL.Query()
	since, _ := strconv.ParseInt(q.Get("since"), 10, 64)
	if limit, err := time.ParseDuration(q.Get("wait")); err == nil && limit > 0 && since > 0 {
		p.state.wait(r.Context().Done(), since, min(limit, maxLongPoll))
	}
	if q.Get("fresh") != "" && p.mysqld.isUp() {
		asked := process.Now()
		status, err := p.ops.Status(r.Context())
		if err != nil {
			writeError(w, err)
			return
		}
		p.state.saw(status, asked)
	}
	writeJSON(w, http.StatusOK, p.state.snapshot())
}

// serveSessions lists the sessions of clients.
func (p *reports) serveSessions(w http.ResponseWriter, r *http.Request) {
	if err := p.access.authorize(r.TLS, agentapi.PathSessions); err != nil {
		writeError(w, err)
		return
	}
	if !p.mysqld.isUp() {
		writeError(w, refuse(agentapi.ErrorInternal, "mysqld does not run"))
		return
	}
	all, err := p.ops.ClientSessions(r.Context())
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, agentapi.SessionsReply{Sessions: describeSessions(all, sessionsListed)})
}

// serveReady: open, or a passive that serves reads. Nothing is ended for want of it.
func (p *reports) serveReady(w http.ResponseWriter, _ *http.Request) {
	s := p.state.snapshot()
	readable := s.Phase == agentapi.PhaseClosed && s.Server != nil && !s.Server.OfflineMode && s.Server.SuperReadOnly
	if s.Phase == agentapi.PhaseOpen || readable {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	http.Error(w, string(s.Phase), http.StatusServiceUnavailable)
}

// snapshot is what this binlog holds up to its end, with the facts that say whether the
// answer is of use.
func (p *reports) snapshot(ctx context.Context, c agentapi.Command) (agentapi.SnapshotReply, error) {
	if err := p.gate.head(c); err != nil {
		return agentapi.SnapshotReply{}, err
	}
	acted := p.state.view().ActedLedger
	status, run, err := p.oneRun(ctx)
	if err != nil {
		return agentapi.SnapshotReply{}, err
	}
	reply, err := judge.Snapshot(c, status, run, acted)
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	return reply, nil
}

func (p *reports) covers(ctx context.Context, c agentapi.CoversRequest) (agentapi.CoversReply, error) {
	if err := p.gate.head(c.Command); err != nil {
		return agentapi.CoversReply{}, err
	}
	status, run, err := p.oneRun(ctx)
	if err != nil {
		return agentapi.CoversReply{}, err
	}
	reply, err := judge.Covers(c, status, run)
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	return reply, nil
}

// oneRun is what mysqld says now, and the run of mysqld that says it.
func (p *reports) oneRun(ctx context.Context) (mysqlops.Status, pair.Incarnation, error) {
	before := p.mysqld.incarnation()
	asked := process.Now()
	status, err := p.ops.Status(ctx)
	if err != nil {
		return status, before, err
	}
	p.state.saw(status, asked)
	if p.mysqld.incarnation() != before || before == "" {
		return status, before, errors.New("mysqld was restarted meanwhile")
	}
	return status, before, nil
}
