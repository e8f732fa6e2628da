package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// maxLongPoll bounds the wait of one request for a state.
const maxLongPoll = time.Minute

// refusal is an error with the code of the answer.
type refusal struct {
	code agentapi.ErrorCode
	why  string
}

// Error implements error.
func (r refusal) Error() string { return r.why }

func refuse(code agentapi.ErrorCode, format string, args ...any) error {
	return refusal{code, fmt.Sprintf(format, args...)}
}

// handler is the agent's API. Everything but state, vouches and what a repair needs is the
// operator's alone.
func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+agentapi.PathState, a.serveState)
	handle(mux, a, agentapi.PathVouch, a.vouch)
	for path, kind := range map[string]authority.CommandKind{
		agentapi.PathCease: authority.CommandCease,
		agentapi.PathFence: authority.CommandFence,
	} {
		handle(mux, a, path, func(ctx context.Context, c agentapi.Command) (agentapi.FenceReply, error) {
			return a.fence(ctx, kind, c)
		})
	}
	handle(mux, a, agentapi.PathAckFence, a.ackFence)
	handle(mux, a, agentapi.PathDrain, a.draining.order)
	mux.HandleFunc("GET "+agentapi.PathSessions, a.serveSessions)
	handle(mux, a, agentapi.PathReadLease, func(ctx context.Context, c agentapi.Command) (agentapi.Done, error) {
		answer, err := a.command(ctx, authority.CommandReadLease, c)
		return agentapi.Done{RequestID: c.RequestID, Epoch: answer.Epoch}, err
	})
	handle(mux, a, agentapi.PathInitialize, a.orderInitialize)
	handle(mux, a, agentapi.PathSeed, a.orderSeed)
	handle(mux, a, agentapi.PathRewind, a.orderRewind)
	handle(mux, a, agentapi.PathDiscard, a.orderDiscard)
	handle(mux, a, agentapi.PathSnapshot, a.snapshot)
	handle(mux, a, agentapi.PathCovers, a.covers)
	handle(mux, a, agentapi.PathValidateConfig, a.trials.validate)
	handle(mux, a, agentapi.PathReleaseHeld, a.orderReleaseHeld)
	handle(mux, a, agentapi.PathHold, a.orderHold)
	handle(mux, a, agentapi.PathRepairLease, a.forcing.order)
	handle(mux, a, agentapi.PathRepairRights, a.rights.order)
	handle(mux, a, agentapi.PathSaveRows, a.rights.saveRows)
	handle(mux, a, agentapi.PathPermitRepair, a.permit.order)
	return mux
}

// handle serves one POST: who may ask, decode, do, encode.
func handle[In, Out any](mux *http.ServeMux, a *Agent, path string, do func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := a.authorize(r.TLS, path); err != nil {
			writeError(w, err)
			return
		}
		var in In
		if err := decodeBody(w, r, &in); err != nil {
			writeError(w, refuse(agentapi.ErrorMalformed, "decode request: %v", err))
			return
		}
		if err := authorizeRequest(r.TLS, in); err != nil {
			writeError(w, err)
			return
		}
		if !a.state.hasBegun() {
			writeError(w, refuse(agentapi.ErrorInternal, "the agent has not taken its volume yet"))
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			a.log.Info("request refused", "path", path, "reason", err.Error())
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, out)
	})
}

// bodyTimeout is how long a request's body may take. The server has no such limit for all
// requests, since it would end long polls, too.
const bodyTimeout = 10 * time.Second

func decodeBody(w http.ResponseWriter, r *http.Request, into any) error {
	control := http.NewResponseController(w)
	// A writer without deadlines is one of a test.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20)).Decode(into)
	_ = control.SetReadDeadline(time.Time{})
	return err
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func writeError(w http.ResponseWriter, err error) {
	reply := agentapi.ErrorReply{Code: agentapi.ErrorInternal, Message: err.Error()}
	var r refusal
	if errors.As(err, &r) {
		reply.Code = r.code
	}
	status := http.StatusConflict
	switch reply.Code {
	case agentapi.ErrorForbidden:
		status = http.StatusForbidden
	case agentapi.ErrorInternal:
		status = http.StatusServiceUnavailable
	case agentapi.ErrorMalformed:
		status = http.StatusBadRequest
	case agentapi.ErrorStale, agentapi.ErrorWrongPair, agentapi.ErrorRefused:
	}
	writeJSON(w, status, reply)
}

func (a *Agent) serveState(w http.ResponseWriter, r *http.Request) {
	if err := a.authorize(r.TLS, agentapi.PathState); err != nil {
		writeError(w, err)
		return
	}
	q := r.URL.Query()
	since, _ := strconv.ParseInt(q.Get("since"), 10, 64)
	if limit, err := time.ParseDuration(q.Get("wait")); err == nil && limit > 0 && since > 0 {
		a.state.wait(r.Context().Done(), since, min(limit, maxLongPoll))
	}
	if q.Get("fresh") != "" && a.mysqld.isUp() {
		asked := process.Now()
		status, err := a.ops.Status(r.Context())
		if err != nil {
			writeError(w, err)
			return
		}
		a.state.saw(status, asked)
	}
	writeJSON(w, http.StatusOK, a.state.snapshot())
}

// vouch asks the machine for this agent's word.
func (a *Agent) vouch(ctx context.Context, r agentapi.VouchRequest) (agentapi.VouchReply, error) {
	id := random()
	answer, forget := a.answers.await(id)
	defer forget()
	a.queue.post(authority.VouchAsked{
		At:      process.Now(),
		PairUID: r.PairUID,
		Asker:   r.Asker,
		Epoch:   r.Epoch,
		Nonce:   id,
		Signed:  r.Signed,
	})
	select {
	case got := <-answer:
		v, ok := got.(authority.AnswerVouch)
		if !ok {
			return agentapi.VouchReply{}, errors.New("no word")
		}
		return agentapi.VouchReply{
			Nonce:        r.Nonce,
			Voucher:      a.env.PodName,
			VoucherData:  v.Data,
			AgentStart:   a.start,
			Epoch:        v.Epoch,
			Given:        v.Given,
			Why:          v.Why,
			KnownEpoch:   v.Known,
			Holder:       v.Holder.String(),
			Open:         v.Open,
			ClaimsHolder: v.ClaimsHolder,
			Signed:       v.Signed,
			Mysqld:       &agentapi.VoucherMysqld{Incarnation: v.Incarnation, Ending: v.Ending},
		}, nil
	case <-ctx.Done():
		return agentapi.VouchReply{}, ctx.Err()
	}
}

// command hands a command to the machine and waits for what becomes of it.
func (a *Agent) command(ctx context.Context, kind authority.CommandKind, c agentapi.Command) (authority.Answer, error) {
	id := random()
	answer, forget := a.answers.await(id)
	defer forget()
	a.log.Info("command", "kind", kind, "epoch", c.Epoch, "ledgerVersion", c.LedgerVersion, "requestID", c.RequestID)
	a.queue.post(authority.Commanded{
		At:      process.Now(),
		ID:      id,
		Kind:    kind,
		PairUID: c.PairUID,
		Epoch:   c.Epoch,
		Ledger:  c.LedgerVersion,
		Signed:  c.Signed,
	})
	select {
	case got := <-answer:
		switch v := got.(type) {
		case authority.Answer:
			return v, nil
		case authority.Refuse:
			code := agentapi.ErrorRefused
			switch v.Reason {
			case authority.RefusedStale:
				code = agentapi.ErrorStale
			case authority.RefusedWrongPair:
				code = agentapi.ErrorWrongPair
			case authority.RefusedFailed:
			}
			return authority.Answer{}, refuse(code, "%s", v.Why)
		default:
			return authority.Answer{}, errors.New("no answer")
		}
	case <-ctx.Done():
		return authority.Answer{}, ctx.Err()
	}
}

func (a *Agent) fence(ctx context.Context, kind authority.CommandKind, c agentapi.Command) (agentapi.FenceReply, error) {
	answer, err := a.command(ctx, kind, c)
	if err != nil {
		return agentapi.FenceReply{}, err
	}
	a.log.Info("command done", "kind", kind, "epoch", answer.Epoch, "ceased", answer.Ceased, "processStopped", answer.ProcessStopped,
		"demoted", answer.Demoted, "receiverStopped", answer.ReceiverStopped, "requestID", c.RequestID)
	reply := agentapi.FenceReply{
		RequestID:       c.RequestID,
		Member:          a.env.PodName,
		PodUID:          a.env.PodUID,
		AgentStart:      a.start,
		Epoch:           answer.Epoch,
		Ceased:          answer.Ceased,
		ReceiverStopped: kind == authority.CommandAckFence && answer.ReceiverStopped,
	}
	if kind == authority.CommandFence {
		reply.ProcessStopped = answer.ProcessStopped
		reply.Demoted = answer.Demoted
	}
	if reply.Demoted {
		reply.BinlogGTIDs = a.mysqld.closedWith()
	}
	return reply, nil
}

// gate is what all commands pass that do not go to the machine.
type gate struct {
	pairUID pair.UID
	state   *board
}

// head checks what every such command has in common.
func (g gate) head(c agentapi.Command) error {
	view := g.state.view()
	if c.PairUID != g.pairUID {
		return refuse(agentapi.ErrorWrongPair, "this agent serves pair %s", g.pairUID)
	}
	if err := judge.Stale(c, view); err != nil {
		return refuse(agentapi.ErrorStale, "%v", err)
	}
	return nil
}

// ownReading reads the Lease for a command that gives data up or makes it.
func (a *Agent) ownReading(ctx context.Context) (authority.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	record, outcome, err := a.lease.read(ctx, true)
	if outcome != authority.ReadFound {
		return record, refuse(agentapi.ErrorRefused, "this agent cannot read the Lease itself: %v", err)
	}
	return record, nil
}

// giving is this member as it is judged by when it is to give data up.
func (a *Agent) giving(record authority.Record) judge.Giving {
	id := a.data.get()
	return judge.Giving{
		PairUID: a.env.PairUID,
		Self:    a.env.PodName,
		Peer:    a.env.Peer,
		DataID:  id.DataID,
		Void:    id.Void,
		View:    a.state.view(),
		Record:  record,
	}
}

func (a *Agent) orderInitialize(ctx context.Context, c agentapi.InitializeCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: a.state.view().Known}
	if err := a.gate.head(c.Command); err != nil {
		return done, err
	}
	record, err := a.ownReading(ctx)
	if err != nil {
		return done, err
	}
	b := record.Bootstrap
	if record.PairUID != a.env.PairUID || b == nil || b.Member != a.env.PodName || b.DataID != c.DataID || c.DataID == "" {
		if id := a.data.get(); id.DataID == c.DataID && c.DataID != "" && !id.Void {
			return done, nil
		}
		return done, refuse(agentapi.ErrorRefused, "the Lease does not allow this member to initialize data %q", c.DataID)
	}
	switch err := a.data.occupy(agentapi.PhaseInitializing, c.DataID, a.mayInitialize); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	a.log.Info("initializing", "dataID", c.DataID)
	a.state.bump()
	go a.initialize(a.ctx, c.DataID)
	return done, nil
}

// mayInitialize says why no data is made here; nil when the volume is empty.
func (a *Agent) mayInitialize() error {
	id := a.data.get()
	full, err := a.vol.HasData()
	switch {
	case err != nil:
		return fmt.Errorf("whether the volume is empty: %w", err)
	case full || id.DataID != "" || id.Void:
		return fmt.Errorf("the volume is not empty: it holds data %q", id.DataID)
	}
	return nil
}

func (a *Agent) orderSeed(ctx context.Context, c agentapi.SeedCommand) (agentapi.Done, error) {
	done := agentapi.Done{RequestID: c.RequestID, Epoch: a.state.view().Known}
	if err := a.gate.head(c.Command); err != nil {
		return done, err
	}
	if c.DataID == "" || strings.ContainsAny(string(c.DataID), "/.") {
		return done, refuse(agentapi.ErrorRefused, "data id %q", c.DataID)
	}
	if id := a.data.get(); id.DataID == c.DataID && !id.Void {
		return done, nil
	}
	record, err := a.ownReading(ctx)
	if err != nil {
		return done, err
	}
	switch err := a.data.occupy(agentapi.PhaseSeeding, c.DataID, func() error { return a.giving(record).MaySeed(c) }); {
	case errors.Is(err, errSame):
		return done, nil
	case err != nil:
		return done, refuse(agentapi.ErrorRefused, "%v", err)
	}
	a.log.Info("seeding", "donor", c.Donor, "dataID", c.DataID, "target", c.Target)
	a.state.bump()
	go a.seed(a.ctx, c)
	return done, nil
}

// snapshot is what this binlog holds up to its end, with the facts that say whether the
// answer is of use.
func (a *Agent) snapshot(ctx context.Context, c agentapi.Command) (agentapi.SnapshotReply, error) {
	if err := a.gate.head(c); err != nil {
		return agentapi.SnapshotReply{}, err
	}
	before := a.mysqld.incarnation()
	acted := a.state.view().ActedLedger
	asked := process.Now()
	status, err := a.ops.Status(ctx)
	if err != nil {
		return agentapi.SnapshotReply{}, err
	}
	a.state.saw(status, asked)
	if a.mysqld.incarnation() != before || before == "" {
		return agentapi.SnapshotReply{}, errors.New("mysqld was restarted meanwhile")
	}
	reply, err := judge.Snapshot(c, status, before, acted)
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	return reply, nil
}

func (a *Agent) covers(ctx context.Context, c agentapi.CoversRequest) (agentapi.CoversReply, error) {
	if err := a.gate.head(c.Command); err != nil {
		return agentapi.CoversReply{}, err
	}
	before := a.mysqld.incarnation()
	asked := process.Now()
	status, err := a.ops.Status(ctx)
	if err != nil {
		return agentapi.CoversReply{}, err
	}
	a.state.saw(status, asked)
	if a.mysqld.incarnation() != before || before == "" {
		return agentapi.CoversReply{}, errors.New("mysqld was restarted meanwhile")
	}
	reply, err := judge.Covers(c, status, before)
	if err != nil {
		return reply, refuse(agentapi.ErrorRefused, "%v", err)
	}
	return reply, nil
}
