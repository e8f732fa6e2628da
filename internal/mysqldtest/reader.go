package mysqldtest

import (
	"encoding/binary"
	"net"
	"strconv"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
)

// Reader is a session of an account that reads the binary logs.
type Reader struct{ *client.Conn }

// LoginReader logs in to the port from a local address, with TLS.
func LoginReader(tb testing.TB, local string, port int, user, password string) (*Reader, error) {
	tb.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	conn, err := client.ConnectWithDialer(tb.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port), user, password, "",
		dialer.DialContext, func(c *client.Conn) error {
			c.UseSSL(true)
			return nil
		})
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &Reader{Conn: conn}, nil
}

// FirstLog is the name of the member's oldest binary log.
func (r *Reader) FirstLog() (string, error) {
	result, err := r.Execute("SHOW BINARY LOGS")
	if err != nil {
		return "", err
	}
	defer result.Close()
	return result.GetString(0, 0)
}

// DumpAsReplica begins to read a binary log, and says that it is a semi-sync replica.
func (r *Reader) DumpAsReplica(file string) error {
	const serverID = 4711
	for _, statement := range []string{"SET @rpl_semi_sync_replica = 1, @rpl_semi_sync_slave = 1", "SET @source_binlog_checksum = 'CRC32'"} {
		if _, err := r.Execute(statement); err != nil {
			return err
		}
	}
	packet := []byte{0, 0, 0, 0, 0x12} // COM_BINLOG_DUMP
	packet = binary.LittleEndian.AppendUint32(packet, 4)
	packet = binary.LittleEndian.AppendUint16(packet, 0)
	packet = binary.LittleEndian.AppendUint32(packet, serverID)
	return r.send(append(packet, file...))
}

// Acknowledge says that everything up to a place in the binary logs was received, be it there or not.
func (r *Reader) Acknowledge(file string, position uint64) error {
	packet := []byte{0, 0, 0, 0, 0xef}
	packet = binary.LittleEndian.AppendUint64(packet, position)
	return r.send(append(packet, file...))
}

func (r *Reader) send(packet []byte) error {
	r.ResetSequence()
	return r.WritePacket(packet)
}
