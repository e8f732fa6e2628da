package door

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Readers is the port of those who read the binary logs. While it is open it relays them to
// mysqld from an address that is used for nothing else, which their accounts are bound to. So
// no reader reaches a mysqld except through here. It is made closed. All methods are safe for
// concurrent use; none but Serve and End blocks.
type Readers struct {
	dial   func(context.Context) (*net.TCPConn, error)
	packet []byte
	work   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	open   bool
	ended  bool
	relays map[*readerRelay]struct{}
}

// readerRelay is one reader that was let through.
type readerRelay struct {
	relay
	closing bool
}

// NewReaders makes a port that dials mysqld by dial and turns readers away with message.
func NewReaders(dial func(context.Context) (*net.TCPConn, error), message string) *Readers {
	return &Readers{
		dial:   dial,
		packet: errorPacket(message),
		relays: map[*readerRelay]struct{}{},
	}
}

// DialFrom is DialTo from a local address.
func DialFrom(local, address string) func(context.Context) (*net.TCPConn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepalive, LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	return dialTo(dialer, address)
}

// Open lets readers through, if holds, which is asked under the lock that Close takes, says so.
func (r *Readers) Open(holds func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = holds() && !r.ended
}

// Close turns readers away from now on, and ends those that are there. mysqld has ended the
// session of each when Empty says so.
func (r *Readers) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = false
	for one := range r.relays {
		one.end()
	}
}

// Empty reports whether no reader has a connection to mysqld, or could still get one.
func (r *Readers) Empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.relays) == 0
}

// ClientOf is where the reader comes from whose connection mysqld sees from this local port; empty
// for none.
func (r *Readers) ClientOf(port int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for one := range r.relays {
		if one.server != nil && one.server.LocalAddr().(*net.TCPAddr).Port == port {
			return one.client.RemoteAddr().String()
		}
	}
	return ""
}

// Serve takes readers until the listener is closed.
func (r *Readers) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(5 * time.Millisecond) // as the door does
			continue
		}
		client, ok := conn.(*net.TCPConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		r.work.Go(func() { r.attend(client) })
	}
}

// End closes the port for good and cuts all connections. The listener is the caller's to close,
// and before this.
func (r *Readers) End() {
	r.mu.Lock()
	r.ended = true
	r.open = false
	for one := range r.relays {
		one.cut()
		if one.server != nil {
			_ = one.server.Close() // a deadline would be replaced by the goroutine that drains
		}
	}
	r.mu.Unlock()
	r.work.Wait()
}

// attend relays one reader, or refuses it.
func (r *Readers) attend(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	one := &readerRelay{relay: relay{client: client, cancel: cancel}}
	if !r.begin(one) {
		r.refuse(client)
		return
	}
	defer r.forget(one)
	server, err := r.dial(ctx)
	if err != nil {
		r.refuse(client)
		return
	}
	defer func() { _ = server.Close() }()
	if !r.connect(one, server) {
		r.refuse(client)
		return
	}
	one.pass()
	one.drain(r.closes(one))
}

func (r *Readers) begin(one *readerRelay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open {
		r.relays[one] = struct{}{}
	}
	return r.open
}

// connect is false when the port was closed meanwhile.
func (r *Readers) connect(one *readerRelay, server *net.TCPConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.closing || r.ended {
		return false
	}
	one.server = server
	return true
}

// closes: the port was closed while this reader was there, and not for good.
func (r *Readers) closes(one *readerRelay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return one.closing && !r.ended
}

func (r *Readers) forget(one *readerRelay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.relays, one)
}

func (r *Readers) refuse(client *net.TCPConn) {
	_ = client.SetDeadline(time.Now().Add(writeLimit))
	_, _ = client.Write(r.packet)
}

// end hangs up on the client, and tells mysqld that nothing more comes. Called with the lock of
// Readers held.
func (one *readerRelay) end() {
	one.closing = true
	one.cancel()
	if one.server != nil {
		_ = one.client.Close()
		_ = one.server.CloseWrite()
	}
}

// pass copies both ways in the kernel until one of both has hung up. It hides relay.pass: mysqld does
// not notice that a reader is gone before it has something to send, so its side is closed here.
func (one *readerRelay) pass() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(one.server, one.client)
		_ = one.server.CloseWrite()
		_ = one.server.SetReadDeadline(time.Now().Add(partLimit))
	}()
	_, _ = io.Copy(one.client, one.server)
	_ = one.client.Close()
	<-done
}

// drain waits until mysqld has hung up, since it may still obey what it has in its buffer: for as
// long as it takes when the port was closed.
func (one *readerRelay) drain(closing bool) {
	limit := time.Time{}
	if !closing {
		limit = time.Now().Add(partLimit)
	}
	_ = one.server.SetReadDeadline(limit)
	_, _ = io.Copy(io.Discard, one.server)
}
