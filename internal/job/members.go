package job

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/repair"
)

// members are the way to both members: their mysqlds and their agents.
type members struct {
	request     jobapi.Request
	dir         Dirs
	port, agent int
}

// Dirs are where a Job finds its certificate and its passwords.
type Dirs struct{ TLS, Passwords string }

// certificate is read for each connection: it is renewed while the Job runs.
func (d Dirs) certificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(d.TLS, "tls.crt"), filepath.Join(d.TLS, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("read the Job's certificate: %w", err)
	}
	return &cert, nil
}

// clientTLS is that of connections to a member, by its name.
func (d Dirs) clientTLS(host string) (*tls.Config, error) {
	if _, err := d.certificate(); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(d.TLS, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the pair's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("read the pair's authority: ca.crt holds no certificate")
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		RootCAs:              roots,
		ServerName:           host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.certificate() },
	}, nil
}

func (m members) tls(member pair.MemberName) (*tls.Config, error) {
	return m.dir.clientTLS(m.request.Host(member))
}

// endpoint is a member's mysqld, over the admin port and as the account of this file.
func (m members) endpoint(member pair.MemberName, account, file string) (checksum.Endpoint, error) {
	conf, err := m.tls(member)
	if err != nil {
		return checksum.Endpoint{}, err
	}
	path := filepath.Join(m.dir.Passwords, file)
	if _, err := os.Stat(path); err != nil {
		return checksum.Endpoint{}, fmt.Errorf("read the password of %s: %w", account, err)
	}
	return checksum.Endpoint{
		Member: member,
		Addr:   net.JoinHostPort(m.request.Host(member), strconv.Itoa(m.port)),
		User:   account,
		TLS:    conf,
		// Read at every login: the Secret may have changed meanwhile.
		Password: func() mysqlops.Secret {
			text, _ := os.ReadFile(path)
			return mysqlops.NewSecret(strings.TrimRight(string(text), "\r\n"))
		},
	}, nil
}

func (m members) client(member pair.MemberName) *agentclient.Client {
	return &agentclient.Client{
		Address: net.JoinHostPort(m.request.Host(member), strconv.Itoa(m.agent)),
		TLS:     func() (*tls.Config, error) { return m.tls(member) },
	}
}

func (m members) head() agentapi.Command {
	var id [8]byte
	_, _ = rand.Read(id[:])
	return agentapi.Command{
		PairUID:       m.request.PairUID,
		Epoch:         m.request.Epoch,
		LedgerVersion: m.request.Ledger,
		RequestID:     hex.EncodeToString(id[:]),
	}
}

// idempotentApplier has the passive's agent force rows through.
type idempotentApplier struct {
	members
	passive *agentclient.Client
}

var _ repair.IdempotentApplier = idempotentApplier{}

// maxHold is the longest lease that an agent gives.
const maxHold = 30 * time.Second

// Hold implements repair.IdempotentApplier.
func (l idempotentApplier) Hold(ctx context.Context, d time.Duration) error {
	return l.ask(ctx, min(d, maxHold))
}

// Release implements repair.IdempotentApplier.
func (l idempotentApplier) Release(ctx context.Context) error { return l.ask(ctx, 0) }

func (l idempotentApplier) ask(ctx context.Context, d time.Duration) error {
	_, err := l.passive.RepairLease(ctx, agentapi.RepairLeaseCommand{
		Command:   l.head(),
		Operation: l.request.Operation,
		For:       d,
	})
	return rolesOf(err)
}

// rolesOf: an agent that refuses knows other roles than the request.
func rolesOf(err error) error {
	var refusal *agentclient.Refusal
	if errors.As(err, &refusal) && (refusal.Code == agentapi.ErrorStale || refusal.Code == agentapi.ErrorWrongPair) {
		return fmt.Errorf("%w: %w", checksum.ErrRolesChanged, err)
	}
	return err
}

// saver keeps rows on the passive's volume.
type saver struct {
	members
	passive *agentclient.Client
}

var _ repair.Saver = saver{}

// maxSave is how many bytes one request to keep rows holds at most, but for a single row.
const maxSave = 2 << 20

// Save implements repair.Saver.
func (s saver) Save(ctx context.Context, rows []repair.SavedRow) error {
	var lines []string
	size := 0
	flush := func() error {
		if len(lines) == 0 {
			return nil
		}
		_, err := s.passive.SaveRows(ctx, agentapi.SaveRowsCommand{
			Command:   s.head(),
			Operation: s.request.Operation,
			Lines:     lines,
		})
		lines = nil
		size = 0
		return rolesOf(err)
	}
	for _, row := range rows {
		text, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("encode a row of %s: %w", row.Table, err)
		}
		if size+len(text) > maxSave {
			if err := flush(); err != nil {
				return err
			}
		}
		lines, size = append(lines, string(text)), size+len(text)
	}
	return flush()
}

const (
	rightsFor   = 2 * time.Minute
	rightsRenew = 30 * time.Second
)

// untilPermitted asks again for a while: the operator tells an agent that was restarted
// only at its next visit what it permits.
func (m members) untilPermitted(ctx context.Context, log logr.Logger, ask func() error) error {
	const pause, attempts = 3 * time.Second, 40
	for attempt := 1; ; attempt++ {
		err := ask()
		var refusal *agentclient.Refusal
		refused := errors.As(err, &refusal) && refusal.Code == agentapi.ErrorRefused
		if !refused || attempt == attempts {
			return err
		}
		log.Info("waiting for the right to write", "reason", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// mayWrite asks the primary's agent for the right to write the table and keeps it until
// giveBack is called.
func (m members) mayWrite(ctx context.Context, log logr.Logger) (giveBack func(), err error) {
	primary := m.client(m.request.Primary)
	ask := func(ctx context.Context, d time.Duration) error {
		_, err := primary.RepairRights(ctx, agentapi.RepairRightsCommand{
			Command:   m.head(),
			Operation: m.request.Operation,
			Schema:    m.request.Table.Schema,
			Table:     m.request.Table.Name,
			For:       d,
		})
		return rolesOf(err)
	}
	if err := m.untilPermitted(ctx, log, func() error { return ask(ctx, rightsFor) }); err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(rightsRenew)
		defer ticker.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-ticker.C:
			}
			if err := ask(renewing, rightsFor); err != nil && renewing.Err() == nil {
				log.Error(err, "the right to write was not renewed")
			}
		}
	}()
	return func() {
		stop()
		<-ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := ask(ctx, 0); err != nil {
			log.Error(err, "the right to write was not given back; the agent takes it back by itself")
		}
	}, nil
}
