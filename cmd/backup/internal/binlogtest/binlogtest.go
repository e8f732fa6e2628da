package binlogtest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/gtid"
)

func event(kind replication.EventType, body []byte) []byte {
	out := make([]byte, 19, 19+len(body)+4)
	out[4] = byte(kind)
	binary.LittleEndian.PutUint32(out[9:], uint32(19+len(body)+4))
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
}

// Format is a format description event of a server of that version, with checksums.
func Format(version string) []byte {
	body := make([]byte, 2+50+4+1+50)
	body[0] = 4
	copy(body[2:], version)
	body[56] = 19
	return event(replication.FORMAT_DESCRIPTION_EVENT, append(body, 1))
}

// Transaction is one with a body of that many bytes, committed at a time.
func Transaction(id gtid.GTID, committed time.Time, size int) []byte {
	rest := event(replication.XID_EVENT, bytes.Repeat([]byte{byte(id.Number)}, size))
	raw, err := hex.DecodeString(strings.ReplaceAll(string(id.Server), "-", ""))
	if err != nil {
		panic(err)
	}
	body := append([]byte{0}, raw...)
	body = binary.LittleEndian.AppendUint64(body, uint64(id.Number))
	body = append(body, 2)
	body = append(body, make([]byte, 16)...)
	var micros [8]byte
	binary.LittleEndian.PutUint64(micros[:], uint64(committed.UnixMicro()))
	body = append(body, micros[:7]...)
	body = append(body, 254)
	const fixed = 19 + 1 + 16 + 8 + 1 + 16 + 7 + 9 + 4 + 4
	body = binary.LittleEndian.AppendUint64(body, uint64(fixed+len(rest)))
	body = binary.LittleEndian.AppendUint32(body, 90704)
	return append(event(replication.GTID_EVENT, body), rest...)
}
