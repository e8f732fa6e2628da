package judge

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	serverA = "00000000-0000-0000-0000-00000000000a"
	serverB = "00000000-0000-0000-0000-00000000000b"
)

// giving is shop-1, closed after an unclean end at epoch 3; shop-0 is the holder at 5.
func giving() Giving {
	return Giving{
		PairUID: "pair",
		Self:    "shop-1",
		Peer:    "shop-0",
		DataID:  "old",
		View:    authority.View{Serving: authority.Stopped, Known: 5, Durable: authority.Durable{Known: 5, OpenAt: 3, Ledger: 9}},
		Record: authority.Record{
			PairUID: "pair",
			Epoch:   5,
			Holder:  pair.Holder{Member: "shop-0", PodUID: "uid-0"},
			Ledger:  authority.Ledger{Version: 9, State: authority.Solo, First: "shop-0"},
			Data:    map[pair.MemberName]pair.DataID{"shop-0": "data-0", "shop-1": "old"},
			Left: &authority.Left{
				Member: "shop-1",
				DataID: "old",
				Epoch:  3,
				Clean:  true,
			},
		},
	}
}

func head() agentapi.Command {
	return agentapi.Command{
		PairUID:       "pair",
		Epoch:         5,
		LedgerVersion: 9,
		RequestID:     "r",
	}
}

func TestDataIsGivenUpOnlyWhenTheAgentsOwnReadingSaysSo(t *testing.T) {
	cases := map[string]struct {
		change func(*Giving)
		fits   bool
	}{
		"the Lease is what the command names": {func(*Giving) {}, true},
		"the Lease is of another pair":        {func(g *Giving) { g.Record.PairUID = "other" }, false},
		"the Lease has moved on":              {func(g *Giving) { g.Record.Epoch = 6 }, false},
		"the ledger has moved on":             {func(g *Giving) { g.Record.Ledger.Version = 10 }, false},
		"this member is the holder":           {func(g *Giving) { g.Record.Holder.Member = "shop-1" }, false},
		"nobody is the holder":                {func(g *Giving) { g.Record.Holder = pair.Holder{} }, false},
		"this member is in sync":              {func(g *Giving) { g.Record.Ledger.State = authority.Both }, false},
		"this member is joining":              {func(g *Giving) { g.Record.Ledger.State = authority.Joining }, false},
		"the volume holds other data":         {func(g *Giving) { g.DataID = "other" }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := giving()
			c.change(&g)
			if err := g.MayRewind(agentapi.RewindCommand{Command: head(), Target: "old"}); (err == nil) != c.fits {
				t.Errorf("rewind: %v", err)
			}
			delete(g.Record.Data, "shop-1")
			if err := g.MaySeed(agentapi.SeedCommand{
				Command: head(),
				Donor:   "shop-0",
				Target:  "old",
				DataID:  "new",
			}); (err == nil) != c.fits {
				t.Errorf("seed: %v", err)
			}
		})
	}
}

func TestOnlyATailNobodyWasPromisedIsCut(t *testing.T) {
	cases := map[string]func(*Giving){
		"nothing is said about it":      func(g *Giving) { g.Record.Left = nil },
		"it was not left cleanly":       func(g *Giving) { g.Record.Left.Clean = false },
		"it was left at another epoch":  func(g *Giving) { g.Record.Left.Epoch = 1 },
		"other data was left":           func(g *Giving) { g.Record.Left.DataID = "other" },
		"mysqld was started since":      func(g *Giving) { g.View.Durable.TailCommitted = true },
		"mysqld runs":                   func(g *Giving) { g.View.Serving = authority.Shut },
		"there was no unclean end":      func(g *Giving) { g.View.Durable.OpenAt = 0 },
		"the data is void":              func(g *Giving) { g.Void = true },
		"the Lease names no data of it": func(g *Giving) { delete(g.Record.Data, "shop-1") },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			g := giving()
			change(&g)
			if err := g.MayRewind(agentapi.RewindCommand{Command: head(), Target: "old"}); err == nil {
				t.Error("may be cut")
			}
		})
	}
}

func TestADataEntryGoesBeforeTheData(t *testing.T) {
	g := giving()
	if err := g.MaySeed(agentapi.SeedCommand{
		Command: head(),
		Donor:   "shop-0",
		Target:  "old",
		DataID:  "new",
	}); err == nil {
		t.Error("seeded while the Lease names its data")
	}
	delete(g.Record.Data, "shop-1")
	if err := g.MaySeed(agentapi.SeedCommand{
		Command: head(),
		Donor:   "shop-1",
		Target:  "old",
		DataID:  "new",
	}); err == nil {
		t.Error("seeded from a donor that is not the holder")
	}
}

func TestAStaleCommand(t *testing.T) {
	view := giving().View
	for name, c := range map[string]agentapi.Command{
		"of an older epoch":  {Epoch: 4, LedgerVersion: 9},
		"of an older ledger": {Epoch: 5, LedgerVersion: 8},
	} {
		if Stale(c, view) == nil {
			t.Errorf("a command %s is taken", name)
		}
	}
	if err := Stale(head(), view); err != nil {
		t.Error(err)
	}
}

func TestASnapshotHoldsWaitingCommits(t *testing.T) {
	s := mysqlops.Status{
		Executed: gtid.MustParse(serverA + ":1-4"), Binlog: gtid.MustParse(serverA + ":1-6"),
		SemiSync: mysqlops.SemiSync{
			SourceEnabled: true,
			SourceActive:  true,
			SourceStrict:  true,
			Clients:       1,
		},
	}
	got, err := Snapshot(head(), s, "inc", 9)
	if err != nil {
		t.Fatal(err)
	}
	if got.BinlogGTIDs != serverA+":1-6" || !got.Waiting || got.SemiSyncClients != 1 || got.LedgerVersion != 9 || got.Incarnation != "inc" {
		t.Errorf("snapshot %+v", got)
	}
	s.SemiSync.SourceActive = false
	if idle, err := Snapshot(head(), s, "inc", 9); err != nil || idle.Waiting {
		t.Error("a primary that has given up to wait counts as one that waits")
	}
	covers, err := Covers(agentapi.CoversRequest{Command: head(), GTIDs: got.BinlogGTIDs}, mysqlops.Status{Received: gtid.MustParse(serverA + ":1-5")}, "inc")
	if err != nil || covers.Covers || covers.Missing != serverA+":6" {
		t.Errorf("covers %+v, %v", covers, err)
	}
	if _, err := Covers(agentapi.CoversRequest{GTIDs: "nonsense"}, s, "inc"); err == nil {
		t.Error("nonsense was taken for a set")
	}
}

// A transaction received by half is neither kept nor shared: the former primary that wrote
// it has it, and its tail would not be cut.
func TestWhatTheHolderReceivedByHalfIsNotInItsBinlog(t *testing.T) {
	half := mysqlops.Status{
		Executed: gtid.MustParse(serverA + ":1-4"), Binlog: gtid.MustParse(serverA + ":1-4"), Applying: gtid.MustParse(serverB + ":7"),
	}
	if got, err := Snapshot(head(), half, "inc", 9); err == nil {
		t.Errorf("a snapshot %+v while the applier is in the middle of a transaction", got)
	}
	holder := &agentapi.State{PairUID: "pair", KnownEpoch: 5, Server: &agentapi.Server{
		GTIDExecuted: serverA + ":1-4", BinlogGTIDs: serverA + ":1-4", ApplyingGTIDs: serverB + ":7",
	}}
	mine := mysqlops.Status{Binlog: gtid.MustParse(serverB + ":7")}
	if got, err := Errant(mine, holder, "pair", 5); err == nil {
		t.Errorf("compared with a binlog that is not settled: errant %s", got)
	}
	holder.Server.ApplyingGTIDs = ""
	if got, err := Errant(mine, holder, "pair", 5); err != nil || got.String() != serverB+":7" {
		t.Errorf("errant %s, %v, want what the holder rolled back", got, err)
	}
}

func TestErrantIsJudgedByTheHoldersBinlog(t *testing.T) {
	holder := func() *agentapi.State {
		return &agentapi.State{PairUID: "pair", KnownEpoch: 5, Server: &agentapi.Server{
			GTIDExecuted: serverA + ":1-4", BinlogGTIDs: serverA + ":1-5",
		}}
	}
	applied := mysqlops.Status{Binlog: gtid.MustParse(serverA + ":1-5"), Received: gtid.MustParse(serverA + ":1-5")}
	got, err := Errant(applied, holder(), "pair", 5)
	if err != nil || !got.IsEmpty() {
		t.Errorf("what waits at the holder is errant: %s, %v", got, err)
	}
	applied.Binlog = gtid.MustParse(serverA + ":1-5," + serverB + ":1")
	if got, err = Errant(applied, holder(), "pair", 5); err != nil || got.String() != serverB+":1" {
		t.Errorf("errant %s, %v", got, err)
	}
	for name, change := range map[string]func(*agentapi.State){
		"of another pair":       func(s *agentapi.State) { s.PairUID = "other" },
		"of a newer epoch":      func(s *agentapi.State) { s.KnownEpoch = 6 },
		"without mysqld's word": func(s *agentapi.State) { s.Server = nil },
	} {
		h := holder()
		change(h)
		if _, err := Errant(applied, h, "pair", 5); err == nil {
			t.Errorf("an answer %s is compared with", name)
		}
	}
}

// A server whose disk came back older gives the numbers of lost transactions to others.
func TestWhatTheHolderLostStaysErrantWhenItsNumbersAreUsedAgain(t *testing.T) {
	holder := &agentapi.State{DataID: "h", Mysqld: agentapi.Mysqld{Incarnation: "h1"}, Server: &agentapi.Server{ServerUUID: strings.ToUpper(serverA)}}
	self := Self{Incarnation: "p1", DataID: "p"}
	first := Compare(nil, gtid.MustParse(serverA+":8-9,"+serverB+":1"), self, holder)
	want := agentapi.Comparison{
		DataID:            "p",
		Incarnation:       "p1",
		HolderDataID:      "h",
		HolderIncarnation: "h1",
		Errant:            serverA + ":8-9," + serverB + ":1",
	}
	if first != want {
		t.Errorf("found %+v", first)
	}
	if again := Compare(&first, gtid.MustParse(""), self, holder); again.Errant != serverA+":8-9" {
		t.Errorf("later it is %q", again.Errant)
	}
	holder.DataID = "copied"
	if again := Compare(&first, gtid.MustParse(""), self, holder); again.Errant != "" {
		t.Errorf("of other data it is %q", again.Errant)
	}
}

func TestTheReverseChannelOpensTowardsAClosedMember(t *testing.T) {
	cases := map[string]struct {
		change func(*agentapi.State)
		opens  bool
	}{
		"closed, and all it has is here": {func(*agentapi.State) {}, true},
		"open":                           {func(s *agentapi.State) { s.Phase = agentapi.PhaseOpen }, false},
		"at an older epoch":              {func(s *agentapi.State) { s.KnownEpoch = 4 }, false},
		"writable":                       {func(s *agentapi.State) { s.Server.SuperReadOnly = false }, false},
		"with commits that wait":         {func(s *agentapi.State) { s.Server.WaitSessions = 1 }, false},
		"with waiting switched on":       {func(s *agentapi.State) { s.Server.Waiting = true }, false},
		"with a tail":                    {func(s *agentapi.State) { s.Server.BinlogGTIDs = serverA + ":1-9" }, false},
		"of another pair":                {func(s *agentapi.State) { s.PairUID = "other" }, false},
	}
	mine := mysqlops.Status{Executed: gtid.MustParse(serverA + ":1-8")}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			peer := &agentapi.State{
				PairUID:    "pair",
				KnownEpoch: 5,
				Phase:      agentapi.PhaseClosed,
				Server:     &agentapi.Server{SuperReadOnly: true, BinlogGTIDs: serverA + ":1-8"},
			}
			c.change(peer)
			if err := (Reverse{PairUID: "pair", Epoch: 5, Peer: peer}).MayOpen(mine); (err == nil) != c.opens {
				t.Error(err)
			}
		})
	}
}
