package binlog

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/gtid"
)

func drawSet(t *rapid.T) gtid.Set {
	var set gtid.Set
	for range rapid.IntRange(0, 8).Draw(t, "ranges") {
		text := fmt.Sprintf("%08x-0000-0000-0000-00000000abcd", rapid.IntRange(0, 3).Draw(t, "server"))
		if tag := rapid.SampledFrom([]string{"", "", "a", "backup_2"}).Draw(t, "tag"); tag != "" {
			text += ":" + tag
		}
		first := rapid.IntRange(1, 1000).Draw(t, "first")
		set = set.Union(gtid.MustParse(fmt.Sprintf("%s:%d-%d", text, first, first+rapid.IntRange(0, 50).Draw(t, "more"))))
	}
	return set
}

func TestSetsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := drawSet(t)
		got, err := DecodeSet(EncodeSet(set))
		if err != nil || !got.Equal(set) {
			t.Fatalf("%s comes back as %s, %v", set, got, err)
		}
	})
}

// The library writes sets without tags, which shows that ours are a server's.
func TestASetIsWhatAServerReads(t *testing.T) {
	set := gtid.MustParse("0000000a-0000-0000-0000-00000000abcd:1-3:7,0000000b-0000-0000-0000-00000000abcd:5")
	want := []byte{
		2, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 2, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 1, 0, 0, 0, 0, 0, 0, 0,
		5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,
	}
	if got := EncodeSet(set); !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

// FuzzDecodeSet: no set of a peer makes a panic, and what is accepted comes back.
func FuzzDecodeSet(f *testing.F) {
	f.Add(EncodeSet(gtid.MustParse("0000000a-0000-0000-0000-00000000abcd:1-3:7:tag:5")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := DecodeSet(raw)
		if err != nil {
			return
		}
		if again, err := DecodeSet(EncodeSet(set)); err != nil || !again.Equal(set) {
			t.Errorf("%s comes back as %s, %v", set, again, err)
		}
	})
}
