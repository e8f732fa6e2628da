package agent

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// dumpIntake takes in the dump that a Job brings, while one is waited for.
type dumpIntake struct {
	entrance entrance
	// hasData reports whether the member has its data, so that no dump is needed any more.
	hasData func() bool
	parts   chan dumpPart

	mu   sync.Mutex
	want agentapi.DumpStep // DumpNothing unless a load waits for it
}

// dumpPart is one request of the Job. Who takes it has to answer it.
type dumpPart struct {
	step   agentapi.DumpStep
	body   io.Reader
	size   int64 // -1 for unknown
	answer chan<- error
}

func newDumpIntake(in entrance, hasData func() bool) *dumpIntake {
	return &dumpIntake{
		entrance: in,
		hasData:  hasData,
		parts:    make(chan dumpPart),
		want:     agentapi.DumpNothing,
	}
}

// expect says what is wanted of the Job from now on.
func (d *dumpIntake) expect(step agentapi.DumpStep) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = step
}

func (d *dumpIntake) wanted() agentapi.DumpStep {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.want == agentapi.DumpNothing && d.hasData() {
		return agentapi.DumpDone
	}
	return d.want
}

// await blocks until the Job brings this step, or says that it cannot; limit bounds it.
func (d *dumpIntake) await(ctx context.Context, step agentapi.DumpStep, limit time.Duration) (dumpPart, error) {
	d.expect(step)
	defer d.expect(agentapi.DumpNothing)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case part := <-d.parts:
		return part, nil
	case <-ctx.Done():
		return dumpPart{}, ctx.Err()
	case <-timer.C:
		return dumpPart{}, errDumpAbsent
	}
}

// register serves the Job.
func (d *dumpIntake) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+agentapi.PathDump, func(w http.ResponseWriter, r *http.Request) {
		if err := d.authorize(r.TLS); err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, agentapi.DumpReply{Want: d.wanted()})
	})
	mux.HandleFunc("POST "+agentapi.PathDump, func(w http.ResponseWriter, r *http.Request) {
		err := d.authorize(r.TLS)
		if err == nil {
			err = d.take(w, r)
		}
		if err != nil {
			d.entrance.log.Info("request refused", "path", agentapi.PathDump, "reason", err.Error())
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, agentapi.DumpReply{Want: d.wanted()})
	})
}

// authorize lets in the Job that brings the dump, and no other one of the pair.
func (d *dumpIntake) authorize(state *tls.ConnectionState) error {
	if err := d.entrance.access.authorize(state, agentapi.PathDump); err != nil {
		return err
	}
	want := agentapi.JobURI(agentapi.DumpOperation).String()
	if !slices.ContainsFunc(state.PeerCertificates[0].URIs, func(u *url.URL) bool { return u.String() == want }) {
		return refuse(agentapi.ErrorForbidden, "the certificate of this Job is not for a dump")
	}
	if !d.entrance.begun() {
		return refuse(agentapi.ErrorInternal, "the agent has not taken its volume yet")
	}
	return nil
}

// take hands a request to the load that waits for it, and returns what became of it. The body is
// not touched any more then.
func (d *dumpIntake) take(w http.ResponseWriter, r *http.Request) error {
	step := agentapi.DumpStep(r.URL.Query().Get("step"))
	if want := d.wanted(); step != want && (step != agentapi.DumpUnreadable || want == agentapi.DumpNothing || want == agentapi.DumpDone) {
		return refuse(agentapi.ErrorRefused, "the step %q is not wanted now, but %q", step, want)
	}
	answer := make(chan error, 1)
	part := dumpPart{
		step:   step,
		body:   patient{from: r.Body, control: http.NewResponseController(w)},
		size:   r.ContentLength,
		answer: answer,
	}
	select {
	case d.parts <- part:
		return <-answer
	case <-r.Context().Done():
		return refuse(agentapi.ErrorRefused, "the request ended before it was taken")
	case <-time.After(bodyTimeout):
		return refuse(agentapi.ErrorRefused, "the step %q is not wanted any more", step)
	}
}

// patient bounds the time between two pieces of a body, and not that of the whole.
type patient struct {
	from    io.Reader
	control *http.ResponseController
}

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	// A writer without deadlines is one of a test.
	_ = p.control.SetReadDeadline(time.Now().Add(dumpPatience))
	return p.from.Read(b)
}
