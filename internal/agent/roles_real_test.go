package agent_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// role asks a member as a router does: it verifies the member's name and has no certificate.
func (m *member) role(path string) int {
	t := m.w.t
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(m.w.ca.Cert)
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			RootCAs:    pool,
			ServerName: string(m.name),
			MinVersion: tls.VersionTLS13,
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+m.addr("role")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestRoutersAreToldTheRolesThroughAFailover: with real mysqlds, each answer follows its member.
func TestRoutersAreToldTheRolesThroughAFailover(t *testing.T) {
	w := newWorld(t)
	w.bootstrap()
	a := w.members[0]
	b := w.members[1]
	tells := func(m *member, primary, passive int) {
		t.Helper()
		w.await("roles of "+string(m.name), patience, func() bool {
			return m.role(agentapi.PathPrimary) == primary && m.role(agentapi.PathPassive) == passive
		})
	}
	tells(a, http.StatusOK, http.StatusServiceUnavailable)
	tells(b, http.StatusServiceUnavailable, http.StatusOK)
	if got := a.role(agentapi.PathState); got != http.StatusNotFound {
		t.Errorf("the listener for routers answers %d to a question about the state", got)
	}
	w.failover(a, b)
	tells(b, http.StatusOK, http.StatusServiceUnavailable)
	if primary, passive := a.role(agentapi.PathPrimary), a.role(agentapi.PathPassive); primary == http.StatusOK || passive == http.StatusOK {
		t.Errorf("the former primary answers %d and %d", primary, passive)
	}
}
