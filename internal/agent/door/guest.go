package door

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/authority"
)

// keepalive leaves the times to the kernel, which the pod's template sets. Go has times of
// its own otherwise.
var keepalive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     -1,
	Interval: -1,
	Count:    -1,
}

// Listen returns a listener for a door.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepalive}
	return config.Listen(ctx, "tcp", address)
}

// DialTo returns a Config's Dial to a mysqld.
func DialTo(address string) func(context.Context) (*net.TCPConn, error) {
	return dialTo(net.Dialer{KeepAliveConfig: keepalive}, address)
}

func dialTo(dialer net.Dialer, address string) func(context.Context) (*net.TCPConn, error) {
	return func(ctx context.Context) (*net.TCPConn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("connect to mysqld at %s: %w", address, err)
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return nil, fmt.Errorf("connect to mysqld at %s: got a %T", address, conn)
		}
		return tcp, nil
	}
}

// guest is one client that the door has not let through.
type guest struct {
	conn  *net.TCPConn
	since authority.Instant
}

// waitFor bounds the next await. It is called under the door's lock, and so is wake: a wake
// that comes after it is not lost.
func (g *guest) waitFor(d time.Duration) {
	_ = g.conn.SetReadDeadline(time.Now().Add(max(d, 0)))
}

// wake ends an await at once.
func (g *guest) wake() { _ = g.conn.SetReadDeadline(time.Unix(1, 0)) }

// await blocks until the client hangs up or sends something, which ends its stay, or until it
// is woken or its time is over. Nothing is read: what the client sends later is for mysqld.
func (g *guest) await() (outcome Outcome, ended bool) {
	raw, err := g.conn.SyscallConn()
	if err != nil {
		return ClientGone, true
	}
	var n int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		var first [1]byte
		n, _, failure = unix.Recvfrom(int(fd), first[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return !errors.Is(failure, unix.EAGAIN) && !errors.Is(failure, unix.EINTR)
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", false
	case err != nil, failure != nil, n == 0:
		return ClientGone, true
	}
	return ClientSpeaks, true
}
