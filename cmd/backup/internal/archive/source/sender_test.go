package source

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlogtest"
	"github.com/dbpair/dbpair/internal/gtid"
)

// packets takes what was sent apart into the payloads of packets that belong together.
func packets(t *testing.T, wire []byte) (payloads [][]byte) {
	t.Helper()
	var payload []byte
	for sequence := byte(1); len(wire) > 0; sequence++ {
		size := int(wire[0]) | int(wire[1])<<8 | int(wire[2])<<16
		if wire[3] != sequence {
			t.Fatalf("packet %d follows %d", wire[3], sequence-1)
		}
		payload = append(payload, wire[4:4+size]...)
		wire = wire[4+size:]
		if size < largestPacket {
			payloads = append(payloads, payload)
			payload = nil
		}
	}
	if payload != nil {
		t.Fatal("the last packet is to be continued")
	}
	return payloads
}

// told is what a receiver's scanner says.
type told struct {
	lines    []string
	position uint32
}

func (r *told) Format(f binlog.FormatEvent) error {
	r.lines = append(r.lines, "format "+f.Server)
	return nil
}

func (r *told) Begin(t binlog.Transaction, event []byte) error {
	h, err := binlog.ParseHeader(event)
	r.lines = append(r.lines, fmt.Sprintf("%s of %d from %d", t.GTID, t.Length, h.ServerID))
	r.position = h.Position
	return err
}

func (r *told) Event(h binlog.Header) error {
	r.position = h.Position
	if h.ServerID != serverID {
		return fmt.Errorf("an event of server %d", h.ServerID)
	}
	return nil
}

func (r *told) Body([]byte) error { return nil }
func (r *told) End() error        { return nil }

// Events of any size arrive with another server's ID and a CRC32 that fits, also where one ends
// with a packet, and with the header of semi-sync if a receiver asked for that.
func TestEventsArriveWhole(t *testing.T) {
	for _, semiSync := range []bool{false, true} {
		overhead := 1
		if semiSync {
			overhead = 3
		}
		stream := binlogtest.Format("9.7.4")
		want := []string{"format 9.7.4"}
		const exact = largestPacket - 23
		sizes := []int{0, 100, exact - overhead, 2*largestPacket + 5}
		for i, size := range sizes {
			id := gtid.GTID{
				Server: "0000000a-0000-0000-0000-00000000abcd",
				Number: int64(i + 1),
			}
			stream = append(stream, binlogtest.Transaction(id, time.Unix(1e9, 0), size)...)
			want = append(want, fmt.Sprintf("%s of %d from %d", id, 85+23+size, uint32(serverID)))
		}
		var wire bytes.Buffer
		s := &sender{
			out:      bufio.NewWriter(&wire),
			asked:    settings{semiSync: semiSync},
			sequence: 1,
			sum:      crc32.NewIEEE(),
		}
		if err := s.rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := binlog.NewScanner(s).Write(stream); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		var got told
		scanner := binlog.NewScanner(&got)
		payloads := packets(t, wire.Bytes())
		for _, payload := range payloads {
			if semiSync && (payload[1] != 0xef || payload[2] != 0) {
				t.Fatalf("an event begins with % x", payload[:3])
			}
			if _, err := scanner.Write(payload[overhead:]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got.lines); diff != "" || !scanner.Outside() {
			t.Errorf("semi-sync %v (-want +got):\n%s", semiSync, diff)
		}
		if len(payloads) != 2+2*len(sizes) || got.position != s.position {
			t.Errorf("%d packets, the last ends at %d, not at %d", len(payloads), got.position, s.position)
		}
	}
}

func TestDumpsOfAnyPeer(t *testing.T) {
	set := gtid.MustParse("0000000a-0000-0000-0000-00000000abcd:1-3:tag:5")
	raw := binlog.EncodeSet(set)
	command := []byte{0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'f', 4, 0, 0, 0, 0, 0, 0, 0, byte(len(raw)), 0, 0, 0}
	command = append(command, raw...)
	got, err := parseDump(command)
	if err != nil || !got.Equal(set) {
		t.Errorf("%s, %v", got, err)
	}
	for cut := range command {
		if _, err := parseDump(command[:cut]); err == nil {
			t.Errorf("%d of %d bytes were accepted", cut, len(command))
		}
	}
}
