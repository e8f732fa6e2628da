package clonewire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
)

// loginBytes bounds what is read of a connection before it is logged in.
const loginBytes = 64 << 10

var errNotEncrypted = errors.New("a connection without TLS: clone with REQUIRE SSL")

// handshake logs recipients in.
type handshake struct {
	server   *server.Server
	accounts *server.InMemoryAuthenticationHandler
}

// handshake checks the fields of a Donor, and reads from its source which
// server it stands for.
func (d Donor) handshake(ctx context.Context) (*handshake, error) {
	switch {
	case d.User == "" || d.Password == "":
		return nil, errors.New("User and Password are needed")
	case d.TLS == nil || len(d.TLS.Certificates) == 0:
		return nil, errors.New("TLS needs Certificates")
	case d.Source == nil:
		return nil, errors.New("Source is needed")
	}
	opening, err := d.Source.Opening(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	if _, err := locatorsOf(opening); err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	accounts := server.NewInMemoryAuthenticationHandler(mysql.AUTH_CACHING_SHA2_PASSWORD)
	if err := accounts.AddUser(d.User, d.Password); err != nil {
		return nil, err
	}
	version := Setting(opening, "version")
	if version == "" {
		return nil, fmt.Errorf("opening: %w: it does not say the version of the server", ErrIncomplete)
	}
	return &handshake{
		server:   server.NewServer(version, mysql.DEFAULT_COLLATION_ID, mysql.AUTH_CACHING_SHA2_PASSWORD, nil, d.TLS),
		accounts: accounts,
	}, nil
}

// accept logs one recipient in and returns its encrypted connection.
func (h *handshake) accept(raw net.Conn) (net.Conn, error) {
	bounded := &boundedConn{
		Conn: raw,
		left: loginBytes,
	}
	conn, err := guard(func() (*server.Conn, error) {
		return h.server.NewCustomizedConn(bounded, encryptedOnly{h.accounts}, server.EmptyHandler{})
	})
	if err != nil {
		return nil, err
	}
	bounded.left = -1
	return conn.Conn.Conn, nil
}

// encryptedOnly refuses a login without TLS.
type encryptedOnly struct {
	*server.InMemoryAuthenticationHandler
}

func (encryptedOnly) OnAuthSuccess(conn *server.Conn) error {
	if _, ok := conn.Conn.Conn.(*tls.Conn); !ok {
		return errNotEncrypted
	}
	return nil
}

// boundedConn ends after so many bytes read, unless left is negative.
type boundedConn struct {
	net.Conn

	left int
}

func (b *boundedConn) Read(buffer []byte) (int, error) {
	if b.left < 0 {
		return b.Conn.Read(buffer)
	}
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	count, err := b.Conn.Read(buffer[:min(len(buffer), b.left)])
	b.left -= count
	return count, err
}
