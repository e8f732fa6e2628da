package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// routes are all paths of the agent's API.
var routes = func() (out []string) {
	for _, r := range agentapi.Routes {
		out = append(out, r.Path)
	}
	return out
}()

// caller is a kind of client certificate, and the routes that it may use.
type caller struct {
	certificate *tls.Certificate
	// handshake: the certificate is accepted at all.
	handshake bool
	may       []string
}

func allBut(paths ...string) []string {
	return slices.DeleteFunc(slices.Clone(routes), func(p string) bool { return slices.Contains(paths, p) })
}

// callers are all kinds of certificates that exist around a pair, and those that anyone who has
// the key of its certificate authority could make.
func callers(t *testing.T, ca *pki.Authority, operator *pki.Key) map[string]caller {
	t.Helper()
	other, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(a *pki.Authority, s pki.Subject, key *pki.Key) *tls.Certificate {
		leaf, err := a.Issue(s, time.Now())
		if key != nil {
			leaf, err = a.IssueFor(s, key, time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		pair, err := leaf.KeyPair()
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	names := resources.Names{Pair: "shop", Namespace: "ns"}
	jobs := []string{agentapi.PathRepairLease, agentapi.PathRepairRights, agentapi.PathSaveRows}
	client := pki.Subject{CommonName: "app", Life: time.Hour}
	// Anyone who has the operator's key and not the certificate authority's could do this.
	selfMade, err := pki.NewAuthority(agentapi.RoleOperator, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]caller{
		"no certificate":                              {nil, false, nil},
		"the operator":                                {issue(ca, pki.Operator(), operator), true, allBut(agentapi.PathVouch, agentapi.PathDump)},
		"the operator's name over another key":        {issue(ca, pki.Operator(), nil), true, []string{agentapi.PathState}},
		"the operator's key under the peer's name":    {issue(ca, pki.Member(names, 1), operator), true, []string{agentapi.PathVouch, agentapi.PathState}},
		"the operator's key of another pair's making": {issue(other, pki.Operator(), operator), false, nil},
		"the operator's key without an authority":     {issue(selfMade, pki.Operator(), operator), false, nil},
		"the peer":                               {issue(ca, pki.Member(names, 1), nil), true, []string{agentapi.PathVouch, agentapi.PathState}},
		"the member itself":                      {issue(ca, pki.Member(names, 0), nil), true, []string{agentapi.PathState, agentapi.PathSessions}},
		"a member of another pair":               {issue(ca, pki.Member(resources.Names{Pair: "till", Namespace: "ns"}, 1), nil), true, nil},
		"a Job":                                  {issue(ca, pki.Job("o1"), nil), true, jobs},
		"the Job that brings a dump":             {issue(ca, pki.Job(agentapi.DumpOperation), nil), true, []string{agentapi.PathDump}},
		"the Job of another operation":           {issue(ca, pki.Job("o2"), nil), true, nil},
		"a Job of no operation":                  {issue(ca, pki.Subject{CommonName: agentapi.RoleJob, Life: time.Hour}, nil), true, nil},
		"a client of mysqld":                     {issue(ca, client, nil), true, nil},
		"a name that begins like the operator's": {issue(ca, pki.Subject{CommonName: agentapi.RoleOperator + "x", Life: time.Hour}, nil), true, nil},
	}
}

// serveAPI serves an agent's API as the agent does, over its certificates.
func serveAPI(t *testing.T, ca *pki.Authority, config agentapi.Config) *httptest.Server {
	t.Helper()
	leaf, err := ca.Issue(pki.Member(resources.Names{Pair: "shop", Namespace: "ns"}, 0), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ca.crt": ca.CertPEM, "tls.crt": leaf.CertPEM, "tls.key": leaf.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certs, err := readCerts(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{
		log:      logr.Discard(),
		env:      Environment{PodName: "shop-0", Peer: "shop-1"},
		certs:    certs,
		mysqld:   &instance{},
		settings: &settings{config: config},
	}
	a.state = newTestBoard()
	a.reports = &reports{
		access: a.access(),
		mysqld: a.mysqld,
		state:  a.state,
	}
	a.dumpIntake = newDumpIntake(a.entrance(), func() bool { return false })
	server := httptest.NewUnstartedServer(a.handler())
	server.TLS = certs.server()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// testAPI is an agent's API, with the certificate authority of its pair and the key of its
// operator.
type testAPI struct {
	ca       *pki.Authority
	operator *pki.Key
	server   *httptest.Server
}

// newTestAPI serves an API to which these keys are the operator's.
func newTestAPI(t *testing.T, keys func(operator *pki.Key) []string) testAPI {
	t.Helper()
	ca, err := pki.NewAuthority("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	operator, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	server := serveAPI(t, ca, agentapi.Config{OperatorKeys: keys(operator)})
	return testAPI{
		ca:       ca,
		operator: operator,
		server:   server,
	}
}

// ask sends a request that every route could read; 0 stands for a failed handshake.
func (api testAPI) ask(t *testing.T, certificate *tls.Certificate, path string) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(api.ca.Cert)
	conf := &tls.Config{RootCAs: roots, ServerName: "shop-0"}
	if certificate != nil {
		// Also where the server's list of authorities does not name its issuer.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: conf}
	defer transport.CloseIdleConnections()
	method := http.MethodPost
	if path == agentapi.PathState || path == agentapi.PathSessions {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(t.Context(), method, api.server.URL+path, strings.NewReader(`{"operation":"o1"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// A certificate of the pair's certificate authority is not enough to give commands: the key
// of the authority is in a Secret of the pair's namespace, the operator's is not.
func TestWhichCertificateMayAskWhat(t *testing.T) {
	api := newTestAPI(t, func(operator *pki.Key) []string { return []string{"00", operator.ID()} })
	asked := 0
	for kind, c := range callers(t, api.ca, api.operator) {
		for _, path := range routes {
			asked++
			status := api.ask(t, c.certificate, path)
			want := fmt.Sprint(http.StatusForbidden)
			allowed := false
			switch {
			case !c.handshake:
				want = "a failed handshake"
				allowed = status == 0
			case slices.Contains(c.may, path):
				// The agent has not taken its volume: what is permitted ends there.
				want = "an answer"
				allowed = status == http.StatusServiceUnavailable || (path == agentapi.PathState && status == http.StatusOK)
			default:
				allowed = status == http.StatusForbidden
			}
			if !allowed {
				t.Errorf("%s asks %s: %d, want %s", kind, path, status, want)
			}
		}
	}
	t.Logf("%d requests of %d kinds of certificates", asked, asked/len(routes))
}

// An operator of an earlier version names no key; its agents take what they took.
func TestWithoutAPinnedKeyTheNameOfTheOperatorCounts(t *testing.T) {
	api := newTestAPI(t, func(*pki.Key) []string { return nil })
	kinds := callers(t, api.ca, api.operator)
	for _, kind := range []string{"the operator", "the operator's name over another key"} {
		if status := api.ask(t, kinds[kind].certificate, agentapi.PathFence); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", kind, status)
		}
	}
	if status := api.ask(t, kinds["the peer"].certificate, agentapi.PathFence); status != http.StatusForbidden {
		t.Errorf("the peer: %d", status)
	}
}
