package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
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
	in := a.entrance()
	mux.HandleFunc("GET "+agentapi.PathState, a.reports.serveState)
	handle(mux, in, agentapi.PathVouch, a.commands.vouch)
	for path, kind := range map[string]authority.CommandKind{
		agentapi.PathCease: authority.CommandCease,
		agentapi.PathFence: authority.CommandFence,
	} {
		handle(mux, in, path, func(ctx context.Context, c agentapi.Command) (agentapi.FenceReply, error) {
			return a.commands.fence(ctx, kind, c)
		})
	}
	handle(mux, in, agentapi.PathAckFence, a.commands.ackFence)
	handle(mux, in, agentapi.PathDrain, a.draining.order)
	mux.HandleFunc("GET "+agentapi.PathSessions, a.reports.serveSessions)
	handle(mux, in, agentapi.PathReadLease, func(ctx context.Context, c agentapi.Command) (agentapi.Done, error) {
		answer, err := a.commands.command(ctx, authority.CommandReadLease, c)
		return agentapi.Done{RequestID: c.RequestID, Epoch: answer.Epoch}, err
	})
	handle(mux, in, agentapi.PathInitialize, a.initializing.order)
	a.dumpIntake.register(mux)
	handle(mux, in, agentapi.PathSeed, a.seeding.order)
	handle(mux, in, agentapi.PathRewind, a.rewinding.order)
	handle(mux, in, agentapi.PathDiscard, a.discarding.order)
	handle(mux, in, agentapi.PathSnapshot, a.reports.snapshot)
	handle(mux, in, agentapi.PathCovers, a.reports.covers)
	handle(mux, in, agentapi.PathValidateConfig, a.trials.validate)
	handle(mux, in, agentapi.PathReleaseHeld, a.doorOrders.release)
	handle(mux, in, agentapi.PathHold, a.doorOrders.hold)
	handle(mux, in, agentapi.PathRepairLease, a.forcing.order)
	handle(mux, in, agentapi.PathRepairRights, a.rights.order)
	handle(mux, in, agentapi.PathSaveRows, a.rights.saveRows)
	handle(mux, in, agentapi.PathPermitRepair, a.permit.order)
	handle(mux, in, agentapi.PathArchived, a.archived.order)
	handle(mux, in, agentapi.PathEnsureUser, a.users.ensure)
	handle(mux, in, agentapi.PathEnsureReader, a.users.ensure)
	handle(mux, in, agentapi.PathRemoveUser, a.users.remove)
	return mux
}

// entrance is what every POST passes: it decides who may ask, and whether the agent answers already.
type entrance struct {
	access access
	log    logr.Logger
	begun  func() bool // the agent has taken its volume
}

// handle serves one POST: who may ask, decode, do, encode.
func handle[In, Out any](mux *http.ServeMux, e entrance, path string, do func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := e.access.authorize(r.TLS, path); err != nil {
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
		if !e.begun() {
			writeError(w, refuse(agentapi.ErrorInternal, "the agent has not taken its volume yet"))
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			e.log.Info("request refused", "path", path, "reason", err.Error())
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
	case agentapi.ErrorStale, agentapi.ErrorWrongPair, agentapi.ErrorRefused, agentapi.ErrorUserTaken:
	}
	writeJSON(w, status, reply)
}
