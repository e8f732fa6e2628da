package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/netserve"
)

const (
	// loginLimit bounds a login, writeLimit one write.
	loginLimit = 30 * time.Second
	writeLimit = 2 * time.Minute
	// maxConnections are served at once.
	maxConnections = 8
	// serverID is what the source says its server_id is; no member has the largest.
	serverID = 1<<32 - 1
)

// Source serves an archive to receivers until its context ends.
type Source struct {
	// Archive may be nil: then there is nothing to replay, and Cut has no transactions.
	Archive *archive.Archive
	// Cut is where it ends. What it leads to is the source's gtid_executed.
	Cut archive.Cut
	// User and Password are those of the receiver's channel; the password may not be empty.
	User, Password string
	// TLS has the source's certificate, and ClientAuth as the caller wants it.
	TLS *tls.Config
	// UUID is what the source says its server_uuid is; no member may have it.
	UUID gtid.ServerUUID
	// Version is what it says its version is, for example 9.7.4; receivers compare the series.
	Version string
	// Served is called when a receiver's dump ends, with the reason, in a goroutine of its
	// connection; it may be nil.
	Served func(error)
	// Sent is called when a receiver has been sent everything up to the cut; it may be nil.
	Sent func()
}

// Serve accepts connections until ctx ends, and closes the listener and all of them. It returns
// nil at the end of ctx.
func (s Source) Serve(ctx context.Context, listener net.Listener) error {
	login, err := s.login()
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("source: %w", err)
	}
	serve := func(ctx context.Context, conn net.Conn) { s.serve(ctx, login, conn) }
	if err := netserve.Serve(ctx, listener, maxConnections, serve); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	return nil
}

// accounts is how receivers log in.
type accounts struct {
	server   *server.Server
	accounts *server.InMemoryAuthenticationHandler
}

func (s Source) login() (accounts, error) {
	switch {
	case s.User == "" || s.Password == "":
		return accounts{}, errors.New("User and Password are needed")
	case s.TLS == nil || len(s.TLS.Certificates) == 0:
		return accounts{}, errors.New("TLS needs Certificates")
	case s.UUID == "" || s.Version == "":
		return accounts{}, errors.New("UUID and Version are needed")
	}
	users := server.NewInMemoryAuthenticationHandler(mysql.AUTH_CACHING_SHA2_PASSWORD)
	if err := users.AddUser(s.User, s.Password); err != nil {
		return accounts{}, err
	}
	return accounts{
		server:   server.NewServer(s.Version, mysql.DEFAULT_COLLATION_ID, mysql.AUTH_CACHING_SHA2_PASSWORD, nil, s.TLS),
		accounts: users,
	}, nil
}

// encryptedOnly refuses a login without TLS.
type encryptedOnly struct {
	*server.InMemoryAuthenticationHandler
}

func (encryptedOnly) OnAuthSuccess(conn *server.Conn) error {
	if _, ok := conn.Conn.Conn.(*tls.Conn); !ok {
		return errors.New("a connection without TLS: use SOURCE_SSL = 1")
	}
	return nil
}

// serve answers one connection until it ends.
func (s Source) serve(ctx context.Context, login accounts, raw net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer raw.Close()
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	// The library's decoders index into what a peer sends.
	defer func() { _ = recover() }()
	_ = raw.SetDeadline(time.Now().Add(loginLimit))
	answers := &receiver{
		source: s,
		ctx:    ctx,
		asked: settings{
			heartbeat: defaultHeartbeat,
		},
	}
	conn, err := login.server.NewCustomizedConn(raw, encryptedOnly{login.accounts}, answers)
	if err != nil {
		return
	}
	answers.conn = conn
	for ctx.Err() == nil {
		_ = raw.SetDeadline(time.Now().Add(loginLimit))
		if err := conn.HandleCommand(); err != nil || answers.done {
			return
		}
	}
}
