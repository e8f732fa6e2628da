package binlog_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlogtest"
	"github.com/dbpair/dbpair/internal/gtid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)

func numbered(n int) gtid.GTID {
	return gtid.GTID{
		Server: "0000000a-0000-0000-0000-00000000abcd",
		Number: int64(n),
	}
}

// recorder keeps what a scanner says.
type recorder struct {
	told []string
	size int
	open bool
}

func (r *recorder) Format(f binlog.FormatEvent) error {
	r.told = append(r.told, "format "+f.Server)
	return nil
}

func (r *recorder) Begin(t binlog.Transaction, event []byte) error {
	r.open = true
	r.size = len(event)
	r.told = append(r.told, fmt.Sprintf("%s at %s of %d", t.GTID, t.Committed.Format(time.RFC3339Nano), t.Length))
	return nil
}

func (r *recorder) Event(binlog.Header) error { return nil }

func (r *recorder) Body(piece []byte) error {
	r.size += len(piece)
	return nil
}

func (r *recorder) End() error {
	r.open = false
	r.told = append(r.told, fmt.Sprintf("end after %d", r.size))
	return nil
}

func TestAStreamIsTakenApartInPiecesOfAnySize(t *testing.T) {
	sizes := []int{0, 10, 100000}
	stream := binlogtest.Format("9.7.4")
	stream = append(stream, binlog.Rotate(1, "file", true)...)
	stream = append(stream, binlogtest.Format("9.7.4")...)
	want := []string{"format 9.7.4"}
	for i, size := range sizes {
		stream = append(stream, binlogtest.Transaction(numbered(i+1), start, size)...)
		length := 85 + 23 + size
		want = append(want, fmt.Sprintf("%s at 2026-01-01T00:00:00.123456Z of %d", numbered(i+1), length), fmt.Sprintf("end after %d", length))
	}
	stream = append(stream, binlog.Heartbeat(1, "file", 4, true)...)
	rapid.Check(t, func(t *rapid.T) {
		var got recorder
		scanner := binlog.NewScanner(&got)
		for rest := stream; len(rest) > 0; {
			count := min(len(rest), rapid.SampledFrom([]int{1, 3, 19, 20, 1000, 50000}).Draw(t, "piece"))
			if _, err := scanner.Write(rest[:count]); err != nil {
				t.Fatal(err)
			}
			rest = rest[count:]
		}
		if !scanner.Outside() {
			t.Error("it is inside of something at the end")
		}
		if diff := cmp.Diff(want, got.told); diff != "" {
			t.Fatalf("told (-want +got):\n%s", diff)
		}
	})
}

func TestEveryFlippedByteOfATransactionIsFound(t *testing.T) {
	format := binlogtest.Format("9.7.4")
	whole := append(bytes.Clone(format), binlogtest.Transaction(numbered(1), start, 30)...)
	for at := len(format); at < len(whole); at++ {
		stream := bytes.Clone(whole)
		stream[at] ^= 0x10
		var got recorder
		scanner := binlog.NewScanner(&got)
		if _, err := scanner.Write(stream); err == nil && scanner.Outside() && len(got.told) == 3 {
			t.Errorf("byte %d was flipped and nobody says so", at)
		}
	}
}

// FuzzScanner: whatever a stream has, it is refused or told, and no transaction gets longer
// than it says.
func FuzzScanner(f *testing.F) {
	stream := append(binlogtest.Format("9.7.4"), binlogtest.Transaction(numbered(1), start, 30)...)
	f.Add(stream, 7)
	f.Add(stream[:len(stream)-5], 1)
	f.Add([]byte("\x00\x00\x00\x00\x0f\x00\x00\x00\x00\xff\xff\xff\xff"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		if piece < 1 {
			return
		}
		var got recorder
		scanner := binlog.NewScanner(&got)
		for rest := stream; len(rest) > 0; {
			count := min(len(rest), piece)
			if _, err := scanner.Write(rest[:count]); err != nil {
				return
			}
			rest = rest[count:]
		}
		if scanner.Outside() && got.open {
			t.Error("a transaction has no end")
		}
	})
}
