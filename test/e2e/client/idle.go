package main

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// idle are connections that are open and ask for nothing, as those of a large pool are. The zero
// value has none; it is safe for concurrent use.
type idle struct {
	mu       sync.Mutex
	sessions []*session
	mute     []net.Conn
}

// open opens n sessions through the client Service. It blocks until they have logged in.
func (i *idle) open(ctx context.Context, c *clients, n int) error {
	for range n {
		s, err := dial(ctx, c.service)
		if err != nil {
			return fmt.Errorf("open an idle session: %w", err)
		}
		i.mu.Lock()
		i.sessions = append(i.sessions, s)
		i.mu.Unlock()
	}
	return nil
}

// openMute opens n connections through the client Service on which no byte is sent: mysqld's
// greeting stays without an answer.
func (i *idle) openMute(ctx context.Context, c *clients, n int) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	for range n {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(c.opts.host, c.opts.port))
		if err != nil {
			return fmt.Errorf("open a mute connection: %w", err)
		}
		i.mu.Lock()
		i.mute = append(i.mute, conn)
		i.mu.Unlock()
	}
	return nil
}

// close ends them all. It is idempotent.
func (i *idle) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, s := range i.sessions {
		s.close()
	}
	for _, conn := range i.mute {
		_ = conn.Close()
	}
	i.sessions = nil
	i.mute = nil
}
