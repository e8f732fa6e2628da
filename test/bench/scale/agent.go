package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// listen serves the member's agent API on its address until ctx ends, with the certificate that the operator made for it.
func (m *member) listen(ctx context.Context, secrets client.Reader) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(m.address, strconv.Itoa(pair.PortAgent)))
	if err != nil {
		return fmt.Errorf("listen for %s: %w", m.host(), err)
	}
	cert := sync.OnceValues(func() (*tls.Certificate, error) { return m.certificate(ctx, secrets) })
	server := &http.Server{
		Handler:           m.handler(),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // connections to a lost node break
		BaseContext:       func(net.Listener) context.Context { return ctx },
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			ClientAuth:     tls.RequireAnyClientCert,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		},
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.ServeTLS(l, "", "") }()
	return nil
}

func (m *member) certificate(ctx context.Context, secrets client.Reader) (*tls.Certificate, error) {
	names := resources.Names{Pair: m.of.name.Name, Namespace: m.of.name.Namespace}
	var secret corev1.Secret
	if err := secrets.Get(ctx, client.ObjectKey{Namespace: names.Namespace, Name: names.TLS(m.ordinal)}, &secret); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	return &cert, err
}

func (m *member) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(agentapi.PathState, m.serveState)
	answer(m, mux, agentapi.PathFence, func(c agentapi.Command) any { return m.fence(c, true) })
	answer(m, mux, agentapi.PathCease, func(c agentapi.Command) any { return m.fence(c, false) })
	answer(m, mux, agentapi.PathAckFence, func(c agentapi.AckFenceCommand) any {
		m.stopped = c.Epoch
		return m.fence(c.Command, true)
	})
	answer(m, mux, agentapi.PathInitialize, func(c agentapi.InitializeCommand) any {
		if m.data != c.DataID {
			m.startMysqld(c.DataID)
		}
		return m.done(c.Command)
	})
	answer(m, mux, agentapi.PathSeed, func(c agentapi.SeedCommand) any {
		if m.data != c.DataID {
			m.startMysqld(c.DataID)
		}
		return m.done(c.Command)
	})
	answer(m, mux, agentapi.PathSnapshot, func(c agentapi.Command) any {
		return agentapi.SnapshotReply{
			RequestID:       c.RequestID,
			LedgerVersion:   m.acted,
			Incarnation:     m.incarnation,
			Waiting:         m.of.record.Ledger.MustWait(m.name()),
			SemiSyncClients: 1,
			BinlogGTIDs:     transactions,
		}
	})
	answer(m, mux, agentapi.PathCovers, func(c agentapi.CoversRequest) any {
		return agentapi.CoversReply{
			RequestID:   c.RequestID,
			Covers:      true,
			Incarnation: m.incarnation,
		}
	})
	answer(m, mux, agentapi.PathValidateConfig, func(agentapi.ValidateConfigRequest) any { return agentapi.ValidateConfigReply{} })
	for _, path := range []string{
		agentapi.PathReadLease,
		agentapi.PathReleaseHeld,
		agentapi.PathHold,
		agentapi.PathDrain,
		agentapi.PathRewind,
	} {
		answer(m, mux, path, func(c agentapi.Command) any { return m.done(c) })
	}
	return mux
}

// answer serves a command: with the pair locked, unless the member's node is gone.
func answer[T any](m *member, mux *http.ServeMux, path string, do func(T) any) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		var c T
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p := m.of
		p.mu.Lock()
		if m.silent(r) {
			return
		}
		reply := do(c)
		p.news()
		p.mu.Unlock()
		_ = json.NewEncoder(w).Encode(reply)
	})
}

// silent unlocks the pair and keeps the request until its client gives up, if the member's node is gone.
func (m *member) silent(r *http.Request) bool {
	if m.lostAt.IsZero() {
		return false
	}
	m.of.mu.Unlock()
	<-r.Context().Done()
	return true
}

// fence raises the highest epoch that is known, and closes mysqld if it is to be closed.
func (m *member) fence(c agentapi.Command, closes bool) agentapi.FenceReply {
	m.known = max(m.known, c.Epoch)
	if closes {
		m.opened = 0
	}
	closed := m.opened == 0
	return agentapi.FenceReply{
		RequestID:       c.RequestID,
		Member:          m.name(),
		PodUID:          m.pod,
		Epoch:           c.Epoch,
		Ceased:          true,
		ProcessStopped:  closed && !m.running,
		Demoted:         closed && m.running,
		BinlogGTIDs:     transactions,
		ReceiverStopped: m.stopped > 0,
		AgentStart:      m.start,
	}
}

func (m *member) done(c agentapi.Command) agentapi.Done {
	return agentapi.Done{RequestID: c.RequestID, Epoch: m.known}
}

// serveState answers at once, or when something has changed, or when the client has waited for long enough.
func (m *member) serveState(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	end := time.NewTimer(wait)
	defer end.Stop()
	p := m.of
	for over := wait == 0; ; {
		p.mu.Lock()
		if m.silent(r) {
			return
		}
		state := m.state()
		changed := p.changed
		p.mu.Unlock()
		if over || state.Revision != since {
			_ = json.NewEncoder(w).Encode(state)
			return
		}
		select {
		case <-changed:
		case <-end.C:
			over = true
		case <-r.Context().Done():
			return
		}
	}
}
