package agent

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/pair"
)

// TestAnUncleanEndIsThatOfItsOwnData: an agent that ends between the name of a finished copy
// and its note of it must not hold the copy for the unclean end of the data before.
func TestAnUncleanEndIsThatOfItsOwnData(t *testing.T) {
	cases := map[string]struct {
		noted  pair.DataID
		void   bool
		openAt pair.Epoch
	}{
		"the data that ended uncleanly":           {"copy", false, 3},
		"a copy made since":                       {"former", false, 0},
		"void data, of which a seed was given up": {"former", true, 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			vol := volume.Open(t.TempDir(), "")
			if err := vol.Lock(); err != nil {
				t.Fatal(err)
			}
			if err := vol.WriteIdentity(volume.Identity{DataID: "copy", Void: c.void}); err != nil {
				t.Fatal(err)
			}
			noted := volume.Memory{Durable: authority.Durable{DataID: c.noted, Known: 5, Ceased: 4, OpenAt: 3, TailCommitted: true}}
			if err := vol.WriteMemory(noted); err != nil {
				t.Fatal(err)
			}
			found, err := (&intake{vol: vol}).read()
			if err != nil {
				t.Fatal(err)
			}
			if m := found.memory; m.OpenAt != c.openAt || m.TailCommitted != (c.openAt != 0) || m.Known != 5 || m.Ceased != 4 {
				t.Errorf("found %+v", m.Durable)
			}
		})
	}
}

func TestTheEndIsToldOnce(t *testing.T) {
	a := &Agent{queue: newQueue()}
	for range 2 {
		a.effect(t.Context(), authority.Exit{})
	}
	select {
	case <-a.queue.done:
	default:
		t.Error("the end was not told")
	}
}
