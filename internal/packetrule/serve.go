package packetrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"
)

// renewal is how often an agent repeats what is refused, and lease for how long a port is refused after it said so. Two
// renewals can be lost before clients pass.
const (
	renewal = time.Second
	lease   = 3 * time.Second
)

// order is what an agent says: a line of JSON, at each change and after each renewal.
type order struct {
	// Ports at which new clients are refused.
	Ports []uint16 `json:"ports"`
}

// answer is what the container says in turn: a line of JSON for each order.
type answer struct {
	// Problem is why the kernel does not do as ordered; empty if it does.
	Problem string `json:"problem"`
}

// Source is what an agent knows.
type Source interface {
	// Refused are the ports at which new clients are refused now, sorted, and the revision of the state that says so.
	Refused() (ports []uint16, revision int64)
	// Wait returns when the state has another revision, after the limit, or when done is closed.
	Wait(done <-chan struct{}, revision int64, limit time.Duration)
	// Report takes why the kernel does not refuse clients as it should, in its own words; empty if it does. It is called after
	// each order, by several goroutines.
	Report(problem string)
}

// Listen makes the socket, in the place of one that an earlier process left, for this process's group as well: the container
// with the rule runs as another user and may not pass over permissions.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of an earlier process: %w", err)
	}
	var sockets net.ListenConfig
	listener, err := sockets.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the packet rule: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("share the socket of the packet rule: %w", err), listener.Close())
	}
	return listener, nil
}

// Serve tells everyone who connects what is refused, and the source what they answer, until ctx ends or the listener fails. It
// closes the listener. Who does not read is left after the time of a renewal.
func Serve(ctx context.Context, listener net.Listener, source Source) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("listen for the packet rule: %w", err), listener.Close())
		}
		go tell(ctx, conn, source)
		go hear(conn, source)
	}
}

// hear reports what the other side answers until the connection ends.
func hear(conn net.Conn, source Source) {
	lines := json.NewDecoder(conn)
	for {
		var says answer
		if err := lines.Decode(&says); err != nil {
			return
		}
		source.Report(says.Problem)
	}
}

// tell says what is refused until ctx ends or the other side is gone. An error of the connection is the other side's end.
func tell(ctx context.Context, conn net.Conn, source Source) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	lines := json.NewEncoder(conn)
	var said []uint16
	due := time.Now()
	for ctx.Err() == nil {
		ports, revision := source.Refused()
		if now := time.Now(); !now.Before(due) || !slices.Equal(ports, said) {
			if err := conn.SetWriteDeadline(now.Add(renewal)); err != nil {
				return
			}
			if err := lines.Encode(order{Ports: ports}); err != nil {
				return
			}
			said = ports
			due = now.Add(renewal)
		}
		source.Wait(ctx.Done(), revision, time.Until(due))
	}
}
