package main

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/test/e2e/history"
)

func sample(member string, asked, answered time.Duration, writable bool) history.Sample {
	return history.Sample{
		Member:   member,
		Asked:    history.Stamp(asked),
		Answered: history.Stamp(answered),
		Writable: writable,
	}
}

// TestTheWindowOfAGap: shop-0 accepts writes until something between 110 and 160, shop-1 from something
// between 290 and 350 on.
func TestTheWindowOfAGap(t *testing.T) {
	samples := []history.Sample{
		sample("shop-0", 50, 60, true),
		sample("shop-1", 55, 65, false),
		sample("shop-0", 110, 120, true),
		sample("shop-0", 150, 160, false),
		sample("shop-1", 230, 240, false),
		sample("shop-1", 290, 300, false),
		sample("shop-0", 295, 305, false),
		{Member: "shop-1", Asked: 320, Answered: 330, Failed: true},
		sample("shop-1", 340, 350, true),
	}
	got, found := windowOf(samples, 115)
	if want := (window{least: 290 - 160, most: 350 - 110}); !found || got != want {
		t.Errorf("got %+v, %v, want %+v", got, found, want)
	}
	if _, found := windowOf(samples[:6], 115); found {
		t.Error("a gap whose end was not seen has a window")
	}
	if _, found := windowOf(samples[2:], 100); found {
		t.Error("a gap whose begin was not seen has a window")
	}
}
