package agent

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// decoders are the paths of the API that decode a body, and whose certificate may ask them.
var decoders = map[string]string{
	agentapi.PathVouch:        agentapi.RolePeerPrefix + "shop-1",
	agentapi.PathCease:        agentapi.RoleOperator,
	agentapi.PathFence:        agentapi.RoleOperator,
	agentapi.PathAckFence:     agentapi.RoleOperator,
	agentapi.PathDrain:        agentapi.RoleOperator,
	agentapi.PathReadLease:    agentapi.RoleOperator,
	agentapi.PathInitialize:   agentapi.RoleOperator,
	agentapi.PathSeed:         agentapi.RoleOperator,
	agentapi.PathRewind:       agentapi.RoleOperator,
	agentapi.PathDiscard:      agentapi.RoleOperator,
	agentapi.PathSnapshot:     agentapi.RoleOperator,
	agentapi.PathCovers:       agentapi.RoleOperator,
	agentapi.PathReleaseHeld:  agentapi.RoleOperator,
	agentapi.PathHold:         agentapi.RoleOperator,
	agentapi.PathRepairLease:  agentapi.RoleOperator,
	agentapi.PathRepairRights: agentapi.RoleOperator,
	agentapi.PathSaveRows:     agentapi.RoleOperator,
	agentapi.PathPermitRepair: agentapi.RoleOperator,

	agentapi.PathValidateConfig: agentapi.RoleOperator,
}

// expected are the answers of an agent that has not taken its volume: the body cannot be
// decoded, or the agent is not ready.
var expected = map[agentapi.ErrorCode]bool{agentapi.ErrorMalformed: true, agentapi.ErrorInternal: true}

// FuzzRequests: whatever the body of a request is, an agent that has not taken its volume
// answers with an error that can be read, and does nothing.
func FuzzRequests(f *testing.F) {
	f.Add(`{"pairUID":"u","epoch":7,"ledgerVersion":3,"requestID":"r"}`)
	f.Add(`{"pairUID":"u","epoch":7,"donor":"shop-0","donorHost":"h","target":"a","dataID":"../b"}`)
	f.Add(`{"epoch":9223372036854775808}`)
	f.Add(`{"lines":["` + strings.Repeat("x", 100) + `"],"for":-1}`)
	f.Add(`{"gtids":"00000000-0000-0000-0000-00000000000a:1-5","holderGTIDs":null}`)
	f.Add(`null`)
	f.Add(``)
	f.Fuzz(func(t *testing.T, body string) {
		a := &Agent{log: logr.Discard(), env: Environment{PodName: "shop-0", Peer: "shop-1"}, settings: &settings{}, mysqld: &instance{}}
		a.state = newTestBoard()
		handler := a.handler()
		for path, role := range decoders {
			request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: role}}}}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			var refusal agentapi.ErrorReply
			if err := json.Unmarshal(answer.Body.Bytes(), &refusal); err != nil || !expected[refusal.Code] || refusal.Message == "" {
				t.Errorf("%s with %q: %d %s", path, body, answer.Code, answer.Body)
			}
			if answer.Code < http.StatusBadRequest {
				t.Errorf("%s with %q succeeds before the volume is taken: %d", path, body, answer.Code)
			}
		}
	})
}

// FuzzCommandsRoundTrip: what the agent decodes of a command is what it would send, so that
// no field is read in two ways.
func FuzzCommandsRoundTrip(f *testing.F) {
	f.Add(`{"pairUID":"u","epoch":7,"ledgerVersion":3,"requestID":"r","donor":"shop-0","holderGTIDs":"x","for":5}`)
	f.Add(`{"EPOCH":1,"epoch":2}`)
	f.Fuzz(func(t *testing.T, body string) {
		roundTrip[agentapi.Command](t, body)
		roundTrip[agentapi.VouchRequest](t, body)
		roundTrip[agentapi.InitializeCommand](t, body)
		roundTrip[agentapi.SeedCommand](t, body)
		roundTrip[agentapi.RewindCommand](t, body)
		roundTrip[agentapi.CoversRequest](t, body)
	})
}

func roundTrip[T comparable](t *testing.T, body string) {
	t.Helper()
	var first, second T
	if json.NewDecoder(strings.NewReader(body)).Decode(&first) != nil {
		return
	}
	text, err := json.Marshal(first)
	if err == nil {
		err = json.Unmarshal(text, &second)
	}
	if err != nil || first != second {
		t.Errorf("%q: %+v became %+v (%v)", body, first, second, err)
	}
}
