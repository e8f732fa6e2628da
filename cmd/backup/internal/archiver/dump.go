package archiver

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// dump is a stream of events from a server. Nothing is read ahead: while its reader does
// something else, the server waits.
type dump struct {
	conn *client.Conn
	// silence is how long the server may say nothing.
	silence time.Duration
}

// begin asks for everything that have does not contain. The server sends a heartbeat when it
// has had nothing to send for a time. Events come with the checksums that are in its files.
func begin(conn *client.Conn, have gtid.Set, serverID uint32, heartbeat time.Duration) (*dump, error) {
	_ = conn.SetDeadline(time.Now().Add(queryTimeout))
	reader := newUUID()
	for _, statement := range []string{
		"SET @source_binlog_checksum = @@GLOBAL.binlog_checksum, @master_binlog_checksum = @@GLOBAL.binlog_checksum",
		fmt.Sprintf("SET @source_heartbeat_period = %d, @master_heartbeat_period = %d", heartbeat.Nanoseconds(), heartbeat.Nanoseconds()),
		fmt.Sprintf("SET @replica_uuid = '%s', @slave_uuid = '%s'", reader, reader),
	} {
		if _, err := conn.Execute(statement); err != nil {
			return nil, fmt.Errorf("prepare the dump: %w", err)
		}
	}
	conn.ResetSequence()
	if err := conn.WritePacket(dumpCommand(have, serverID)); err != nil {
		return nil, fmt.Errorf("ask for the dump: %w", err)
	}
	return &dump{
		conn:    conn,
		silence: queryTimeout + 10*heartbeat,
	}, nil
}

// newUUID names a reader that is no server. Agents end it before commits wait for the peer.
func newUUID() string {
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // it never fails
	return fmt.Sprintf("%s%x-%x-%x-%x", mysqlops.ArchiverPrefix, raw[:2], raw[2:4], raw[4:6], raw[6:])
}

// dumpCommand is COM_BINLOG_DUMP_GTID, with room for a packet's header.
func dumpCommand(have gtid.Set, serverID uint32) []byte {
	const beginOfFile = 4
	set := binlog.EncodeSet(have)
	data := make([]byte, 4, 64+len(set))
	data = append(data, mysql.COM_BINLOG_DUMP_GTID)
	data = binary.LittleEndian.AppendUint16(data, 0) // flags: wait for what comes
	data = binary.LittleEndian.AppendUint32(data, serverID)
	data = binary.LittleEndian.AppendUint32(data, 0) // length of the file's name
	data = binary.LittleEndian.AppendUint64(data, beginOfFile)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(set)))
	return append(data, set...)
}

// next writes one event to a scanner. It blocks until there is one, or a heartbeat.
func (d *dump) next(scanner *binlog.Scanner) error {
	_ = d.conn.SetReadDeadline(time.Now().Add(d.silence))
	packet := packetWriter{scanner: scanner}
	err := d.conn.ReadPacketTo(&packet)
	switch {
	case packet.err != nil:
		return packet.err
	case err != nil:
		return fmt.Errorf("read the dump: %w", err)
	case packet.failure != nil:
		return fmt.Errorf("the server ended the dump: %w", d.conn.HandleErrorPacket(packet.failure))
	case !packet.status:
		return errors.New("the server sent an empty packet")
	}
	return nil
}

// failureLimit is how many bytes of a server's error are kept.
const failureLimit = 4 << 10

// packetWriter takes one packet apart: a byte that says what it is, then an event or an error.
type packetWriter struct {
	scanner *binlog.Scanner
	status  bool
	// failure is an error packet; err is the scanner's error.
	failure []byte
	err     error
}

func (p *packetWriter) Write(piece []byte) (int, error) {
	count := len(piece)
	if !p.status && count > 0 {
		p.status = true
		switch piece[0] {
		case mysql.OK_HEADER:
		case mysql.ERR_HEADER:
			p.failure = []byte{}
		default:
			p.err = fmt.Errorf("%w: a packet of kind %d in the dump", binlog.ErrMalformed, piece[0])
			return 0, p.err
		}
		if p.failure == nil {
			piece = piece[1:]
		}
	}
	if p.failure != nil {
		p.failure = append(p.failure, piece[:min(len(piece), failureLimit-len(p.failure))]...)
		return count, nil
	}
	if _, err := p.scanner.Write(piece); err != nil {
		p.err = err
		return 0, err
	}
	return count, nil
}

// end closes the connection.
func (d *dump) end() { _ = d.conn.Close() }
