package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// 503 would have the caller try the same again.
func TestARequestThatCannotBeReadIsTheCallersFault(t *testing.T) {
	for body, want := range map[string]int{
		"":                       http.StatusBadRequest,
		"{":                      http.StatusBadRequest,
		`{"epoch":"three"}`:      http.StatusBadRequest,
		`{"epoch":3}`:            http.StatusServiceUnavailable, // the agent has not taken its volume yet
		strings.Repeat("[", 100): http.StatusBadRequest,
	} {
		mux := http.NewServeMux()
		a := &Agent{settings: &settings{}}
		a.state = newTestBoard()
		handle(mux, a.entrance(), agentapi.PathFence, func(context.Context, agentapi.Command) (agentapi.Done, error) {
			return agentapi.Done{}, nil
		})
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, agentapi.PathFence, strings.NewReader(body))
		request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{
			{Subject: pkix.Name{CommonName: agentapi.RoleOperator}},
		}}
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("%q is answered %d, want %d", body, answer.Code, want)
		}
	}
}

// An answer of 503 would have it sent again, as long as it is.
func TestARequestThatIsTooLongIsRefused(t *testing.T) {
	a := &Agent{settings: &settings{}}
	a.state = newTestBoard()
	mux := http.NewServeMux()
	handle(mux, a.entrance(), agentapi.PathFence, func(context.Context, agentapi.Command) (agentapi.Done, error) {
		t.Error("the request was read")
		return agentapi.Done{}, nil
	})
	body := `{"requestID":"` + strings.Repeat("x", 8<<20) + `"}`
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, agentapi.PathFence, strings.NewReader(body))
	request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{
		{Subject: pkix.Name{CommonName: agentapi.RoleOperator}},
	}}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), "too large") {
		t.Errorf("it is answered %d %s, want %d", answer.Code, answer.Body, http.StatusBadRequest)
	}
}
