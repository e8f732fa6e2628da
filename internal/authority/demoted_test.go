package authority_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// stopped is a proof that the last holder's mysqld has ended.
func stopped(t *testing.T, r authority.Record) fencing.Proof {
	t.Helper()
	book := fencing.NewBook()
	book.SawEpoch(r.Epoch, time.Time{})
	req, err := book.Ask(fencing.Subject{Member: a, PodUID: "pa"}, r.Epoch, "r", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := fencing.FromReply(req, agentapi.FenceReply{
		RequestID:      "r",
		Member:         a,
		PodUID:         "pa",
		Epoch:          r.Epoch,
		Ceased:         true,
		ProcessStopped: true,
	}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestADemotedPrimaryKeepsItsPlaceInTheLedger(t *testing.T) {
	revoked := apply(t, both(), authority.Revoke{})
	switchover := promote(t, revoked)
	switchover.Demoted = "ia"
	got := apply(t, revoked, switchover)
	if !got.Ledger.Same(revoked.Ledger) || !got.Appointed.Demoted || got.Left != nil || got.Holder.Member != b || got.Epoch != 5 {
		t.Errorf("the appointment made %+v", got)
	}
}

// Another run of its mysqld than the ledger names was never verified.
func TestADemotedPrimaryOfAnotherRunLeavesTheLedger(t *testing.T) {
	revoked := apply(t, both(), authority.Revoke{})
	switchover := promote(t, revoked)
	switchover.Demoted = "next"
	got := apply(t, revoked, switchover)
	if got.Ledger.State != authority.Solo || got.Ledger.First != b || got.Left == nil || !got.Appointed.Demoted {
		t.Errorf("the appointment made %+v", got)
	}
}

func TestOnlyADemotedPrimaryStays(t *testing.T) {
	revoked := apply(t, both(), authority.Revoke{})
	for name, change := range map[string]func(c *authority.Appoint){
		"its mysqld has ended": func(c *authority.Appoint) { c.Proofs = []fencing.Proof{stopped(t, revoked)} },
		"it goes on itself": func(c *authority.Appoint) {
			c.To = pair.Holder{Member: a, PodUID: "pa"}
			c.Grounds = authority.GroundsReturn
			c.Others = []fencing.Subject{{Member: b, PodUID: "pb"}}
			c.Proofs = []fencing.Proof{closed(t, revoked, b, "pb")}
		},
		"the promotion is forced": func(c *authority.Appoint) { c.Grounds = authority.GroundsForced },
	} {
		t.Run(name, func(t *testing.T) {
			c := promote(t, revoked)
			c.Demoted = "ia"
			change(&c)
			if _, err := c.Apply(revoked); !errors.Is(err, authority.ErrNotAllowed) {
				t.Errorf("was allowed: %v", err)
			}
		})
	}
}
