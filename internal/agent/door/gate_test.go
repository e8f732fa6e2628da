package door_test

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// passiveView is the passive's, whose peer is the holder at the epoch; without one when empty.
func passiveView(e pair.Epoch, holder pair.MemberName) authority.View {
	v := authority.View{
		Serving:    authority.Shut,
		Known:      e,
		HolderRead: true,
		Durable:    authority.Durable{Known: e},
	}
	if holder != "" {
		v.Holder = pair.Holder{Member: holder, PodUID: "uid"}
	}
	return v
}

// TestAChangeThatNoOperatorAsksForAnyMoreIsOver: a switchover's operator ends in the middle of
// the drain and nobody cancels it. Clients of the next failover are held all the same.
func TestAChangeThatNoOperatorAsksForAnyMoreIsOver(t *testing.T) {
	cases := map[string]struct {
		renewed bool
		want    door.Answer
	}{
		"given up":                             {want: door.Wait},
		"still asked for, so its time is over": {renewed: true, want: door.RefuseClosed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := door.NewGate("shop-1")
			g.Configure(door.Policy{Mode: door.Hold, HoldTimeout: time.Second, MaxHeld: 10})
			now := authority.Instant(time.Hour)
			g.Follow(passiveView(1, "shop-0"), now)
			g.Begin(1, now)
			if got := g.Ask(now.Add(time.Millisecond), 0); got != door.Wait {
				t.Fatalf("a client of the switchover: %s", got)
			}
			for range 12 {
				now = now.Add(5 * time.Second)
				if c.renewed {
					g.Begin(1, now)
				}
				g.Follow(passiveView(1, "shop-0"), now)
			}
			g.Follow(passiveView(2, ""), now)
			if got := g.Ask(now.Add(time.Millisecond), 0); got != c.want {
				t.Errorf("a client of the next change of roles: %s", got)
			}
		})
	}
}
