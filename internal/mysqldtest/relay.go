package mysqldtest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Relay passes TCP connections on to a port of this machine, and can stop to pass on what
// the server sends: a link that stalls in the middle of a transaction.
type Relay struct {
	// Port to connect to, on 127.0.0.1.
	Port int

	mu      sync.Mutex
	free    *sync.Cond
	limited bool
	left    int64 // bytes that may still pass to the clients while limited
	held    bool  // something waits because nothing is left
	cuts    int   // a connection made before the last one passes nothing any more
	ends    []func() error
	closed  bool
}

// NewRelay listens until the test ends.
func NewRelay(tb testing.TB, to int) *Relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{Port: listener.Addr().(*net.TCPAddr).Port}
	r.free = sync.NewCond(&r.mu)
	var serving sync.WaitGroup
	serving.Go(func() { r.serve(listener, to, &serving) })
	tb.Cleanup(func() {
		_ = listener.Close()
		r.mu.Lock()
		r.closed = true
		r.free.Broadcast()
		r.mu.Unlock()
		serving.Wait()
	})
	return r
}

// PassAtMost lets this many bytes more pass to the clients and then holds everything else.
func (r *Relay) PassAtMost(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limited = true
	r.left = bytes
	r.held = false
}

// Cut ends all connections, with what is held or under way in them, and the limit.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cuts++
	r.limited = false
	r.held = false
	r.free.Broadcast()
	for _, end := range r.ends {
		_ = end()
	}
	r.ends = nil
}

// Holding reports whether the limit is reached and more waits behind it.
func (r *Relay) Holding() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func (r *Relay) serve(listener net.Listener, to int, serving *sync.WaitGroup) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		cuts := r.cuts
		r.ends = append(r.ends, client.Close, server.Close)
		r.mu.Unlock()
		serving.Go(func() {
			defer server.Close()
			_, _ = io.Copy(server, client)
		})
		serving.Go(func() {
			defer client.Close()
			defer server.Close()
			r.copyLimited(client, server, cuts)
		})
	}
}

func (r *Relay) copyLimited(to io.Writer, from io.Reader, cuts int) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		for sent := 0; sent < n; {
			part := r.allowance(n-sent, cuts)
			if part == 0 {
				return
			}
			if _, err := to.Write(buffer[sent : sent+part]); err != nil {
				return
			}
			sent += part
		}
		if err != nil {
			return
		}
	}
}

// allowance waits until something may pass and takes it; 0 when the connection was cut and
// at the end of the test.
func (r *Relay) allowance(want, cuts int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := func() bool { return r.closed || r.cuts != cuts }
	for r.limited && r.left == 0 && !over() {
		r.held = true
		r.free.Wait()
	}
	if over() {
		return 0
	}
	if !r.limited {
		return want
	}
	part := int(min(int64(want), r.left))
	r.left -= int64(part)
	return part
}
