package clonewire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// dialLimit bounds the connection and the login, which transfer nothing large.
const dialLimit = 30 * time.Second

// dial logs in and makes a connection one of a clone. The connection is closed
// when ctx ends.
func (c Client) dial(ctx context.Context) (*session, error) {
	var raw net.Conn
	dialer := net.Dialer{Timeout: dialLimit}
	// Until the login is over the library does not know of ctx: it reads and
	// writes on raw, which ends with it.
	connected, err := guard(func() (*client.Conn, error) {
		return client.ConnectWithDialer(ctx, "tcp", c.Address, c.User, c.Password, "",
			func(ctx context.Context, network, address string) (net.Conn, error) {
				var err error
				if raw, err = dialer.DialContext(ctx, network, address); err != nil {
					return nil, err
				}
				context.AfterFunc(ctx, func() { _ = raw.Close() })
				return raw, raw.SetDeadline(time.Now().Add(dialLimit))
			},
			func(conn *client.Conn) error {
				conn.SetTLSConfig(c.TLS)
				return nil
			})
	})
	if err != nil {
		if raw != nil {
			_ = raw.Close()
		}
		return nil, fmt.Errorf("log in at %s as %s: %w", c.Address, c.User, err)
	}
	s, err := c.enterClone(connected)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("begin a clone at %s: %w", c.Address, err)
	}
	return s, nil
}

// enterClone sets how long the donor waits and sends COM_CLONE.
func (c Client) enterClone(connected *client.Conn) (*session, error) {
	encrypted, ok := connected.Conn.Conn.(*tls.Conn)
	if !ok {
		return nil, errors.New("the connection is not encrypted")
	}
	wait := int(c.wait() / time.Second)
	for _, statement := range []string{
		fmt.Sprintf("SET SESSION net_write_timeout = %d", wait),
		fmt.Sprintf("SET SESSION net_read_timeout = %d", wait),
		fmt.Sprintf("SET SESSION wait_timeout = %d", wait),
	} {
		if _, err := guard(func() (any, error) { return connected.Execute(statement) }); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	s := newSession(encrypted, c.limit())
	if err := s.write(0, []byte{comClone}); err != nil {
		return nil, err
	}
	message, err := s.read(1)
	switch {
	case err != nil:
		return nil, err
	case len(message) > 0 && message[0] == packetError:
		return nil, parseErrorPacket(message)
	case len(message) == 0 || message[0] != packetOK:
		return nil, fmt.Errorf("%w: answer to COM_CLONE", ErrMalformed)
	}
	return s, nil
}

// guard makes an error of a panic in the library's parsers, which index into
// what a peer sends.
func guard[T any](call func() (T, error)) (result T, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("%w: %v", ErrMalformed, caught)
		}
	}()
	return call()
}
