package execute

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestALineOfTheTimelineSaysWhatWasDoneToWhom(t *testing.T) {
	old := fencing.Subject{Member: "shop-0", PodUID: "p0"}
	book := fencing.NewBook()
	book.SawEpoch(0, time.Time{})
	proof, err := fencing.FromBeginning(old, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	from := authority.Record{Epoch: 0, LastHolder: &authority.LastHolder{Holder: pair.Holder(old)}}
	revoked := authority.Record{Epoch: 4, Holder: pair.Holder(old)}
	cases := map[string]struct {
		part     Part
		step     failover.StepName
		message  string
		decisive bool
	}{
		"a fence":             {Part{Step: failover.Fence{Subject: old}}, "Fence", "shop-0/p0", false},
		"one that waits":      {Part{Step: failover.Fence{Subject: old}, Pending: "no answer"}, "Fence", "shop-0/p0: no answer", false},
		"a revocation":        {Part{Step: failover.ChangeAuthority{From: revoked, Change: authority.Revoke{}}}, "Revoke", "from shop-0/p0, epoch 5", true},
		"the Service's way":   {Part{Step: failover.PointService{Member: "shop-1", Leads: failover.LeadsOpen, Epoch: 6}}, "PointService", "to mysqld of shop-1 at epoch 6", true},
		"that it is detached": {Part{Step: failover.DetachService{From: fencing.Subject{Member: "shop-0", PodUID: "p0"}}}, "DetachService", "from shop-0/p0", false},
		"and that to a door":  {Part{Step: failover.PointService{Member: "shop-1", Leads: failover.LeadsDoor, Epoch: 5}}, "PointService", "to the door of shop-1 at epoch 5", true},
		"an appointment names its proofs": {Part{Step: failover.ChangeAuthority{From: from, Change: authority.Appoint{
			To: pair.Holder{Member: "shop-1", PodUID: "p1"}, Proofs: []fencing.Proof{proof},
		}}}, "Appoint", "shop-1/p1, epoch 1, NeverHeld of shop-0/p0", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.part.Took = time.Second
			got := c.part.entry()
			if got.Step != c.step || got.Message != c.message || got.Decisive != c.decisive || got.Took != time.Second {
				t.Errorf("entry %+v", got)
			}
		})
	}
}
