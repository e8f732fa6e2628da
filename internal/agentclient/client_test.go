package agentclient_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
)

var head = agentapi.Command{
	PairUID:       "u",
	Epoch:         7,
	LedgerVersion: 3,
	RequestID:     "r",
}

// request is what an agent got.
type request struct {
	Method string
	Path   string
	Query  string
	Body   string
}

// recording answers every request with the same body, and keeps the last one.
func recording(t *testing.T, answer string) (http.Handler, *request) {
	t.Helper()
	last := &request{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		*last = request{
			Method: r.Method,
			Path:   r.URL.Path,
			Query:  r.URL.RawQuery,
			Body:   string(body),
		}
		_, _ = io.WriteString(w, answer)
	}), last
}

// ask makes one request.
type ask func(context.Context, *agentclient.Client) error

// asking is a method of the client with what it is given.
func asking[In, Out any](method func(*agentclient.Client, context.Context, In) (Out, error), in In) ask {
	return func(ctx context.Context, c *agentclient.Client) error {
		_, err := method(c, ctx, in)
		return err
	}
}

// posting is a request and the body that it has to have.
type posting struct {
	ask  ask
	body any
}

func post[In, Out any](method func(*agentclient.Client, context.Context, In) (Out, error), in In) posting {
	return posting{ask: asking(method, in), body: in}
}

func TestEachCommandIsPostedToItsPath(t *testing.T) {
	handler, got := recording(t, `{"requestID":"r"}`)
	client := serve(t, handler)
	for path, tc := range map[string]posting{
		agentapi.PathCease:       post((*agentclient.Client).Cease, head),
		agentapi.PathFence:       post((*agentclient.Client).Fence, head),
		agentapi.PathReadLease:   post((*agentclient.Client).ReadLease, head),
		agentapi.PathSnapshot:    post((*agentclient.Client).Snapshot, head),
		agentapi.PathReleaseHeld: post((*agentclient.Client).ReleaseHeld, head),
		agentapi.PathAckFence: post((*agentclient.Client).AckFence,
			agentapi.AckFenceCommand{Command: head, Receive: "g"}),
		agentapi.PathDrain: post((*agentclient.Client).Drain,
			agentapi.DrainCommand{Command: head, Operation: "o", For: time.Second}),
		agentapi.PathHold: post((*agentclient.Client).Hold,
			agentapi.HoldCommand{Command: head, Cancel: true}),
		agentapi.PathInitialize: post((*agentclient.Client).Initialize,
			agentapi.InitializeCommand{Command: head, DataID: "d"}),
		agentapi.PathSeed: post((*agentclient.Client).Seed,
			agentapi.SeedCommand{Command: head, Donor: "shop-0", DataID: "d"}),
		agentapi.PathRewind: post((*agentclient.Client).Rewind,
			agentapi.RewindCommand{Command: head, HolderGTIDs: "g", KeepTail: true}),
		agentapi.PathDiscard: post((*agentclient.Client).Discard,
			agentapi.DiscardCommand{Command: head, Operation: "o", Target: "d"}),
		agentapi.PathCovers: post((*agentclient.Client).Covers,
			agentapi.CoversRequest{Command: head, GTIDs: "g"}),
		agentapi.PathRepairLease: post((*agentclient.Client).RepairLease,
			agentapi.RepairLeaseCommand{Command: head, Operation: "o", For: time.Second}),
		agentapi.PathRepairRights: post((*agentclient.Client).RepairRights,
			agentapi.RepairRightsCommand{Command: head, Schema: "s", Table: "t"}),
		agentapi.PathPermitRepair: post((*agentclient.Client).PermitRepair,
			agentapi.PermitRepairCommand{Command: head, Schema: "s", Table: "t"}),
		agentapi.PathSaveRows: post((*agentclient.Client).SaveRows,
			agentapi.SaveRowsCommand{Command: head, Operation: "o", Lines: []string{"{}"}}),
		agentapi.PathVouch: post((*agentclient.Client).Vouch,
			agentapi.VouchRequest{PairUID: "u", Asker: "shop-0", Epoch: 7}),
		agentapi.PathValidateConfig: post((*agentclient.Client).ValidateConfig,
			agentapi.ValidateConfigRequest{PairUID: "u", Settings: map[string]string{"a": "b"}}),
	} {
		t.Run(path, func(t *testing.T) {
			if err := tc.ask(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(tc.body)
			if err != nil {
				t.Fatal(err)
			}
			want := request{
				Method: http.MethodPost,
				Path:   path,
				Body:   string(body),
			}
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStateAsksForAChangeOrAtOnce(t *testing.T) {
	handler, got := recording(t, `{"revision":5,"member":"shop-1"}`)
	client := serve(t, handler)
	for name, tc := range map[string]struct {
		since int64
		wait  time.Duration
		fresh bool
		query string
	}{
		"at once":                      {},
		"a wait needs a revision":      {wait: time.Minute},
		"a revision needs a wait":      {since: 4},
		"when it is another":           {since: 4, wait: time.Minute, query: "since=4&wait=1m0s"},
		"after mysqld was asked again": {fresh: true, query: "fresh=1"},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := client.State(t.Context(), tc.since, tc.wait, tc.fresh)
			if err != nil {
				t.Fatal(err)
			}
			if state.Revision != 5 || state.Member != "shop-1" {
				t.Errorf("state: %+v", state)
			}
			if want := (request{Method: http.MethodGet, Path: agentapi.PathState, Query: tc.query}); *got != want {
				t.Errorf("request: %+v, want %+v", *got, want)
			}
		})
	}
}

func TestSessionsAreRead(t *testing.T) {
	handler, got := recording(t, `{"sessions":[{"id":12,"user":"app","inFlight":true}]}`)
	reply, err := serve(t, handler).Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := agentapi.SessionsReply{Sessions: []agentapi.Session{{ID: 12, User: "app", InFlight: true}}}
	if diff := cmp.Diff(want, reply); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
	if got.Method != http.MethodGet || got.Path != agentapi.PathSessions {
		t.Errorf("request: %+v", *got)
	}
}

func TestARefusalIsToldFromAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		body    string
		refused bool
		says    string
	}{
		"the agent knows more":      {http.StatusConflict, `{"code":"Stale","message":"epoch 9 is known"}`, true, "Stale: epoch 9 is known"},
		"the certificate may not":   {http.StatusForbidden, `{"code":"Forbidden","message":"no"}`, true, "Forbidden: no"},
		"no reason is given":        {http.StatusConflict, `{"message":"no"}`, false, "status 409"},
		"what answers is no agent":  {http.StatusBadGateway, `<html>`, false, "status 502"},
		"a success cannot be read":  {http.StatusOK, `{"requestID":`, false, "unexpected end of JSON input"},
		"a success of another type": {http.StatusOK, `{"requestID":7}`, false, "cannot unmarshal number"},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			_, err := client.Seed(t.Context(), agentapi.SeedCommand{Command: head})
			if err == nil || errors.Is(err, agentclient.ErrRefused) != tc.refused || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want a refusal: %v, and %q in it", err, tc.refused, tc.says)
			}
			if !strings.Contains(err.Error(), agentapi.PathSeed+" of agent "+client.Address) {
				t.Errorf("%v: it does not name the request and the agent", err)
			}
			var refusal *agentclient.Refusal
			if errors.As(err, &refusal) && refusal.Status != tc.status {
				t.Errorf("status %d, want %d", refusal.Status, tc.status)
			}
		})
	}
}

func TestAnEarlierAgentDoesNotKnowAPath(t *testing.T) {
	client := serve(t, http.NotFoundHandler())
	_, err := client.ValidateConfig(t.Context(), agentapi.ValidateConfigRequest{})
	if !errors.Is(err, agentclient.ErrNoSuchPath) || errors.Is(err, agentclient.ErrRefused) {
		t.Errorf("%v, want %v", err, agentclient.ErrNoSuchPath)
	}
}

// A fence that is taken for done when it is another's would open a second primary.
func TestAFenceIsNotBelievedByTheAnswerToAnother(t *testing.T) {
	handler, _ := recording(t, `{"requestID":"another","demoted":true}`)
	client := serve(t, handler)
	for name, request := range map[string]ask{
		"cease":     asking((*agentclient.Client).Cease, head),
		"fence":     asking((*agentclient.Client).Fence, head),
		"ack fence": asking((*agentclient.Client).AckFence, agentapi.AckFenceCommand{Command: head}),
	} {
		if err := request(t.Context(), client); err == nil || !strings.Contains(err.Error(), "another request") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerThatIsTooLongIsAnError(t *testing.T) {
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"member":"shop-0"}`)
		_, _ = io.WriteString(w, strings.Repeat(" ", 8<<20))
	}))
	_, err := client.State(t.Context(), 0, 0, false)
	if err == nil || !strings.Contains(err.Error(), "longer than 8 MiB") {
		t.Errorf("%v, want an error that says how long an answer may be", err)
	}
}

func TestARequestWithoutAnAnswerEnds(t *testing.T) {
	silent := func(t *testing.T) *agentclient.Client {
		over := make(chan struct{})
		// Not even when the client has gone: net/http may still hand it an answer that comes as it closes the connection.
		client := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
		t.Cleanup(func() { close(over) })
		return client
	}
	t.Run("at the client's own timeout", func(t *testing.T) {
		client := silent(t)
		client.Timeout = 10 * time.Millisecond
		if _, err := client.Fence(t.Context(), head); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := silent(t).State(ctx, 1, time.Hour, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// With a deadline that leaves the wait out, every long poll of a quiet agent would fail.
func TestALongPollMayTakeItsWaitBesideTheTimeout(t *testing.T) {
	handler, _ := recording(t, `{}`)
	client := serve(t, handler)
	client.Timeout = time.Nanosecond
	if _, err := client.State(t.Context(), 1, time.Minute, false); err != nil {
		t.Errorf("a poll that may wait a minute: %v", err)
	}
	if _, err := client.Sessions(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another request in a nanosecond: %v, want %v", err, context.DeadlineExceeded)
	}
}

// A connection that lost an answer may be dead; one that brought a refusal is not.
func TestOnlyALostAnswerCostsTheConnection(t *testing.T) {
	var status atomic.Int32
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status.Load() == 0 {
			panic(http.ErrAbortHandler) // closes the connection
		}
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, `{"code":"Stale","message":"no"}`)
	}))
	connections := 0
	conf := client.TLS
	client.TLS = func() (*tls.Config, error) {
		connections++
		return conf()
	}
	for i, step := range []struct {
		status int32
		want   int
	}{
		{http.StatusOK, 1},
		{http.StatusConflict, 1},
		{http.StatusOK, 1},
		{0, 1},
		{http.StatusOK, 2},
	} {
		status.Store(step.status)
		_, err := client.ReadLease(t.Context(), head)
		if (err == nil) != (step.status == http.StatusOK) {
			t.Errorf("step %d, status %d: %v", i, step.status, err)
		}
		if connections != step.want {
			t.Errorf("step %d: the certificates were asked for %d times, want %d", i, connections, step.want)
		}
	}
}
