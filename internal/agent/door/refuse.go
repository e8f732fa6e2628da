package door

import (
	"encoding/binary"
	"net"
	"time"
)

// writeLimit bounds the packet's way into the kernel's buffer, which is empty.
const writeLimit = 100 * time.Millisecond

// lingers is how many refused connections may wait for their client to hang up first.
const lingers = 256

// refuse turns a client away. It does not wait for it.
func (d *Door) refuse(tcp *net.TCPConn) {
	d.Refused.Add(1)
	d.mu.Lock()
	reset := d.reset
	d.mu.Unlock()
	if reset {
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
