package judge

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestUnappliedTransactionsAreDiscardedOnlyBetweenTwoHolders(t *testing.T) {
	cases := map[string]struct {
		change func(*Giving, *agentapi.DiscardCommand)
		fits   bool
	}{
		"nobody is the holder and the receiver is stopped": {func(*Giving, *agentapi.DiscardCommand) {}, true},
		"no operation is named":                            {func(_ *Giving, c *agentapi.DiscardCommand) { c.Operation = "" }, false},
		"the Lease is of another pair":                     {func(g *Giving, _ *agentapi.DiscardCommand) { g.Record.PairUID = "other" }, false},
		"the Lease has moved on":                           {func(g *Giving, _ *agentapi.DiscardCommand) { g.Record.Epoch = 6 }, false},
		"the ledger has moved on":                          {func(g *Giving, _ *agentapi.DiscardCommand) { g.Record.Ledger.Version = 10 }, false},
		"the peer is the holder": {func(g *Giving, _ *agentapi.DiscardCommand) {
			g.Record.Holder = pair.Holder{Member: "shop-0", PodUID: "uid-0"}
		}, false},
		"this member is the holder": {func(g *Giving, _ *agentapi.DiscardCommand) {
			g.Record.Holder = pair.Holder{Member: "shop-1", PodUID: "uid-1"}
		}, false},
		"the volume holds other data":          {func(g *Giving, _ *agentapi.DiscardCommand) { g.DataID = "other" }, false},
		"the Lease names other data":           {func(g *Giving, _ *agentapi.DiscardCommand) { g.Record.Data["shop-1"] = "other" }, false},
		"the data is void":                     {func(g *Giving, _ *agentapi.DiscardCommand) { g.Void = true }, false},
		"the receiver was stopped at no epoch": {func(g *Giving, _ *agentapi.DiscardCommand) { g.View.Durable.ReceiverStopped = 0 }, false},
		"the receiver was stopped at another":  {func(g *Giving, _ *agentapi.DiscardCommand) { g.View.Durable.ReceiverStopped = 4 }, false},
		"mysqld is open":                       {func(g *Giving, _ *agentapi.DiscardCommand) { g.View.Serving = authority.Serves }, false},
		"mysqld does not run":                  {func(g *Giving, _ *agentapi.DiscardCommand) { g.View.Serving = authority.Stopped }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := giving()
			g.Record.Holder = pair.Holder{}
			g.View.Serving = authority.Shut
			g.View.Durable.ReceiverStopped = 5
			command := agentapi.DiscardCommand{Command: head(), Operation: "op-1", Target: "old"}
			c.change(&g, &command)
			if err := g.MayDiscard(command); (err == nil) != c.fits {
				t.Errorf("discard: %v", err)
			}
		})
	}
}

func TestNothingIsDiscardedBeforeItIsSaved(t *testing.T) {
	received := mysqlops.Status{Executed: gtid.MustParse(serverA + ":1-4"), Received: gtid.MustParse(serverA + ":1-7")}
	running := received
	running.Channel.ApplierRunning = true
	amid := received
	amid.Applying = gtid.MustParse(serverA + ":5")
	receiving := received
	receiving.Channel.Receiver = mysqlops.ReceiverStreaming
	applied := received
	applied.Executed = applied.Received
	cases := map[string]struct {
		status mysqlops.Status
		saved  string
		want   DiscardStep
	}{
		"the applier runs":                    {running, "", DiscardInterrupt},
		"the applier is in a transaction":     {amid, serverA + ":1-9", DiscardInterrupt},
		"the applier stands still":            {received, "", DiscardSave},
		"only a part is saved":                {received, serverA + ":5-6", DiscardSave},
		"what another server wrote is saved":  {received, serverB + ":5-7", DiscardSave},
		"everything is saved":                 {received, serverA + ":5-7", DiscardReset},
		"more was saved than is left":         {received, serverA + ":3-9", DiscardReset},
		"everything is applied":               {applied, "", DiscardDone},
		"everything is applied and was saved": {applied, serverA + ":5-7", DiscardDone},
		"the receiver runs":                   {receiving, serverA + ":5-7", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := NextDiscard(c.status, gtid.MustParse(c.saved))
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}
