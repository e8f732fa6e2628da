// Package door is the listener that clients reach while nobody accepts writes: it turns
// each of them away at once.
//
// It never reads from a client, never waits for one and keeps none. It refuses to speak
// the protocol beyond the one packet that says no.
package door

import (
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// writeLimit bounds the packet's way into the kernel's buffer, which is empty.
const writeLimit = 100 * time.Millisecond

// lingers is how many refused connections may wait for their client to hang up first.
const lingers = 256

// Door turns clients away.
type Door struct {
	// Reset makes it answer with a TCP reset instead of an error packet.
	Reset atomic.Bool
	// Refused counts the clients turned away.
	Refused atomic.Int64

	packet []byte
	slots  chan struct{}
}

// New returns a door that names the pair in what it says.
func New(message string) *Door {
	return &Door{packet: errorPacket(message), slots: make(chan struct{}, lingers)}
}

// Serve turns away everybody who comes, until the listener is closed.
func (d *Door) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of descriptors or the client was faster: neither ends the door.
			time.Sleep(5 * time.Millisecond)
			continue
		}
		d.Refused.Add(1)
		d.refuse(conn)
	}
}

func (d *Door) refuse(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		_ = conn.Close()
		return
	}
	if d.Reset.Load() {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
		return
	}
	_ = tcp.SetDeadline(time.Now().Add(writeLimit))
	_, _ = tcp.Write(d.packet)
	_ = tcp.CloseWrite()
	// A client that has sent something already would get a reset instead of the packet
	// if we closed at once: so its bytes are taken for a moment, by a bounded number.
	select {
	case d.slots <- struct{}{}:
		go func() {
			defer func() { <-d.slots }()
			var sink [256]byte
			for {
				if _, err := tcp.Read(sink[:]); err != nil {
					break
				}
			}
			_ = tcp.Close()
		}()
	default:
		_ = tcp.Close()
	}
}

// errorNumber and the state say "server shutdown in progress", on which drivers connect
// again.
const (
	errorNumber = 1053
	sqlState    = "08S01"
)

// errorPacket is an ERR packet in place of the server's greeting: before any handshake
// it carries no SQL state in the protocol's first form, so the state is in the text.
func errorPacket(message string) []byte {
	body := []byte{0xff, 0, 0}
	binary.LittleEndian.PutUint16(body[1:], errorNumber)
	body = append(body, message+" ("+sqlState+")"...)
	header := []byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), 0}
	return append(header, body...)
}
