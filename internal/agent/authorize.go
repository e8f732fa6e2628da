package agent

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"slices"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/signing"
)

// access says who may ask the agent for which path.
type access struct {
	pairName string
	self     pair.MemberName
	peerName pair.MemberName
	config   func() agentapi.Config
}

// authorize says why a client may not ask for a path; nil when it may. The certificate was
// verified in the handshake. Its common name says who asks, and anyone who asks as the operator
// needs the operator's key, too: the key of the pair's certificate authority, with which
// certificates of every name can be made, is in a Secret of the pair's own namespace.
func (c access) authorize(state *tls.ConnectionState, path string) error {
	if state == nil || len(state.PeerCertificates) == 0 {
		return refuse(agentapi.ErrorForbidden, "a client certificate of the pair's certificate authority is needed")
	}
	cert := state.PeerCertificates[0]
	name := cert.Subject.CommonName
	if !c.mayAsk(name, path) {
		return refuse(agentapi.ErrorForbidden, "the certificate of %q may not ask for %s", name, path)
	}
	// An operator with a new key must not take its members for silent: it may read, as the
	// peer may.
	if name == agentapi.RoleOperator && path != agentapi.PathState && !c.isOperatorKey(cert) {
		return refuse(agentapi.ErrorForbidden,
			"the key of this client is not the operator's: it is not among the operatorKeys of ConfigMap %s-config, "+
				"which arrive in the pod up to two minutes after the operator wrote them", c.pairName)
	}
	return nil
}

// authorizeRequest refuses what a Job asks for in the name of another operation than the one
// that its certificate was issued for.
func authorizeRequest(state *tls.ConnectionState, request any) error {
	cert := state.PeerCertificates[0]
	if cert.Subject.CommonName != agentapi.RoleJob {
		return nil
	}
	about, ok := request.(agentapi.JobRequest)
	if !ok {
		return refuse(agentapi.ErrorForbidden, "a Job may not ask for this")
	}
	want := agentapi.JobURI(about.ForOperation()).String()
	if !slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == want }) {
		return refuse(agentapi.ErrorForbidden, "the certificate of this Job is not for operation %q", about.ForOperation())
	}
	return nil
}

// mayAsk reports whether clients of a common name may ask for a path.
func (c access) mayAsk(name, path string) bool {
	switch name {
	case agentapi.RoleOperator:
		return agentapi.MayAsk(agentapi.CallerOperator, path)
	case agentapi.RolePeerPrefix + string(c.peerName):
		return agentapi.MayAsk(agentapi.CallerPeer, path)
	case agentapi.RoleJob:
		return agentapi.MayAsk(agentapi.CallerJob, path)
	case agentapi.RolePeerPrefix + string(c.self):
		// `agent state` and `agent sessions` in this very container.
		return agentapi.MayAsk(agentapi.CallerSelf, path)
	default:
		return false
	}
}

// isOperatorKey: an operator of an earlier version names no key, and then every one counts.
func (c access) isOperatorKey(cert *x509.Certificate) bool {
	keys := c.config().OperatorKeys
	return len(keys) == 0 || slices.Contains(keys, signing.KeyID(cert.PublicKey))
}
