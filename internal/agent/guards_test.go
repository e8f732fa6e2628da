package agent

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// guarded is a mysqld that the guards correct.
type guarded struct {
	recorder
	found  mysqlops.Correction
	wrong  []mysqlops.Difference
	events []string
}

func (g *guarded) KeepReadOnly(context.Context) (mysqlops.Correction, error) {
	return g.found, g.change("keep read-only")
}

func (g *guarded) KeepWritable(context.Context) (mysqlops.Correction, error) {
	return g.found, g.change("keep writable")
}

func (g *guarded) CutForeignDumpThreads(context.Context, string, gtid.ServerUUID) ([]mysqlops.DumpThread, error) {
	return []mysqlops.DumpThread{{User: "tap", Host: "10.0.0.9"}}, g.change("cut")
}

func (g *guarded) CommitHeartbeat(context.Context, int) error { return g.change("heartbeat") }

func (g *guarded) KeepOwned(context.Context, []mycnf.Expectation) ([]mysqlops.Difference, error) {
	return g.wrong, g.failure
}

func (g *guarded) KeepEvents(context.Context) ([]string, error) {
	return g.events, g.change("keep events")
}

// published are the codes of the problems that a board publishes.
func published(b *board) (codes []agentapi.ProblemCode) {
	for _, p := range b.snapshot().Problems {
		codes = append(codes, p.Code)
	}
	return codes
}

func TestAWritablePassiveIsClosedUnlessItOpens(t *testing.T) {
	for name, c := range map[string]struct {
		serving authority.Serving
		found   mysqlops.Correction
		asked   bool
		counted int
	}{
		"someone made it writable":         {authority.Shut, mysqlops.Correction{Needed: true}, true, 1},
		"it was set right meanwhile":       {authority.Shut, mysqlops.Correction{}, true, 0},
		"it began to open before its turn": {authority.Opening, mysqlops.Correction{Needed: true}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := &guarded{found: c.found}
			counted := 0
			guard := readOnlyGuard{
				log:       logr.Discard(),
				ops:       server,
				state:     newTestBoard(),
				follow:    &oneTurn{},
				corrected: func() { counted++ },
			}
			guard.state.see(authority.View{Serving: c.serving})
			guard.close(t.Context())
			if asked := server.has("keep read-only"); asked != c.asked {
				t.Errorf("asked mysqld: %t", asked)
			}
			told := slices.Contains(published(guard.state), agentapi.ProblemWritablePassive)
			if counted != c.counted || told != (c.counted > 0) || guard.closedAt.IsZero() == told {
				t.Errorf("counted %d, published %t, corrected at %s", counted, told, guard.closedAt)
			}
		})
	}
}

func TestAPrimaryMadeReadOnlyIsOpenedOnlyWhileItIsConfirmed(t *testing.T) {
	const lease = 8 * time.Second
	now := process.Now()
	confirmed := authority.View{Serving: authority.Serves, Confirmed: true, ConfirmedAt: now, LeaseDuration: lease}
	old := confirmed
	old.ConfirmedAt = now.Add(-lease/2 - time.Second)
	unconfirmed := confirmed
	unconfirmed.Confirmed = false
	closing := confirmed
	closing.Serving = authority.Closing
	for name, c := range map[string]struct {
		view  authority.View
		looks int
		opens bool
	}{
		"it is confirmed":                  {confirmed, 2, true},
		"it was seen once":                 {confirmed, 1, false},
		"its confirmation is about to end": {old, 2, false},
		"it is not confirmed":              {unconfirmed, 2, false},
		"it closes":                        {closing, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := &guarded{found: mysqlops.Correction{Needed: true, ReadOnly: true}}
			guard := readOnlyGuard{
				log:    logr.Discard(),
				ops:    server,
				state:  newTestBoard(),
				follow: &oneTurn{},
			}
			guard.state.see(c.view)
			for range c.looks {
				guard.keepOpen(t.Context(), mysqlops.Status{SuperReadOnly: true})
			}
			if opens := server.has("keep writable"); opens != c.opens {
				t.Errorf("opened: %t", opens)
			}
			if told := slices.Contains(published(guard.state), agentapi.ProblemOwnedVariable); told != c.opens {
				t.Errorf("published: %t", told)
			}
		})
	}
}

func TestOnlyThePeerAcknowledges(t *testing.T) {
	peers := mysqlops.DumpThread{User: mysqlops.UserReplication, ReplicaUUID: peersUUID, SessionID: 1}
	tap := mysqlops.DumpThread{User: "tap", ReplicaUUID: ownUUID, SessionID: 2}
	for name, c := range map[string]struct {
		threads []mysqlops.DumpThread
		clients int
		cut     bool
		foreign int
	}{
		"the peer alone":                  {[]mysqlops.DumpThread{peers}, 1, false, 0},
		"nobody":                          {nil, 0, false, 0},
		"one that merely reads":           {[]mysqlops.DumpThread{peers, tap}, 1, true, 0},
		"one that acknowledges":           {[]mysqlops.DumpThread{peers, tap}, 2, true, 1},
		"one that acknowledges, no peer":  {[]mysqlops.DumpThread{tap}, 1, true, 1},
		"the peer's account, another one": {[]mysqlops.DumpThread{{User: mysqlops.UserReplication, ReplicaUUID: ownUUID}}, 1, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := &guarded{}
			foreign := 0
			guard := ackGuard{
				pairUID: "pair-a",
				log:     logr.Discard(),
				ops:     server,
				state:   newTestBoard(),
				peer:    heard{state: &agentapi.State{PairUID: "pair-a", Server: &agentapi.Server{ServerUUID: peersUUID}}},
				foreign: func() { foreign++ },
			}
			guard.cutForeign(t.Context(), mysqlops.Status{DumpThreads: c.threads, SemiSync: mysqlops.SemiSync{Clients: c.clients}})
			told := slices.Contains(published(guard.state), agentapi.ProblemForeignReplica)
			if server.has("cut") != c.cut || foreign != c.foreign || told != c.cut {
				t.Errorf("cut %t, reported %d times that commits may have passed, published %t", server.has("cut"), foreign, told)
			}
		})
	}
}

func TestAHeartbeatReleasesWhatWaitsForALostAcknowledgement(t *testing.T) {
	guard := ackGuard{}
	status := mysqlops.Status{
		DumpThreads: []mysqlops.DumpThread{{ReplicaUUID: peersUUID, SessionID: 1}},
		SemiSync:    mysqlops.SemiSync{Clients: 1},
	}
	for _, step := range []struct {
		what   string
		change func()
		due    bool
	}{
		{"the peer has connected", func() {}, true},
		{"it stays", func() {}, false},
		{"a commit waits for long", func() { status.SemiSync.OldestWait = 2 * time.Second }, true},
		{"nobody acknowledges", func() { status.SemiSync.Clients = 0 }, false},
		{"the peer is away", func() { status = mysqlops.Status{} }, false},
		{"it is back", func() {
			status.DumpThreads = []mysqlops.DumpThread{{ReplicaUUID: peersUUID, SessionID: 2}}
			status.SemiSync.Clients = 1
		}, true},
	} {
		step.change()
		if due := guard.heartbeatIsDue(status); due != step.due {
			t.Errorf("%s: due %t", step.what, due)
		}
	}
}

func TestOwnedSettingsThatStayWrongArePublished(t *testing.T) {
	wrong := []mysqlops.Difference{{Variable: "sync_binlog", Want: "1", Got: "0"}}
	for name, c := range map[string]struct {
		serving authority.Serving
		wrong   []mysqlops.Difference
		failure error
		left    int
		told    bool
		counted int
	}{
		"nothing is wrong":           {serving: authority.Shut},
		"one was set right":          {authority.Serves, wrong, nil, 0, true, 1},
		"one cannot be set right":    {authority.Shut, wrong, &mysqlops.DriftError{Differences: wrong}, 1, true, 0},
		"mysqld is about to open":    {authority.Opening, wrong, nil, 0, false, 0},
		"mysqld does not answer now": {authority.Shut, nil, context.DeadlineExceeded, 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			counted := 0
			owned := &ownedSettings{
				log:       logr.Discard(),
				ops:       &guarded{recorder: recorder{failure: c.failure}, wrong: c.wrong},
				member:    func() mycnf.Member { return mycnf.Member{} },
				state:     newTestBoard(),
				corrected: func() { counted++ },
			}
			owned.look(t.Context(), c.serving)
			told := slices.Contains(published(owned.state), agentapi.ProblemSettingDrift)
			if left := len(owned.state.snapshot().WrongSettings); left != c.left || told != c.told || counted != c.counted {
				t.Errorf("%d stay wrong, published %t, counted %d", left, told, counted)
			}
		})
	}
}

func TestEventsAreEnabledOnAPrimaryWhoseCommitsPass(t *testing.T) {
	for name, c := range map[string]struct {
		serving authority.Serving
		status  mysqlops.SemiSync
		keeps   bool
	}{
		"alone":                         {authority.Serves, mysqlops.SemiSync{}, true},
		"its peer acknowledges":         {authority.Serves, mysqlops.SemiSync{SourceEnabled: true, Clients: 1}, true},
		"its peer is away":              {authority.Serves, mysqlops.SemiSync{SourceEnabled: true}, false},
		"a commit waits for its peer":   {authority.Serves, mysqlops.SemiSync{SourceEnabled: true, Clients: 1, WaitSessions: 1}, false},
		"a passive":                     {authority.Shut, mysqlops.SemiSync{}, false},
		"a primary that is about to be": {authority.Opening, mysqlops.SemiSync{}, false},
	} {
		server := &guarded{recorder: recorder{status: mysqlops.Status{SemiSync: c.status}}}
		guard := &eventGuard{
			log:    logr.Discard(),
			ops:    server,
			mysqld: running("run-1"),
			state:  newTestBoard(),
		}
		guard.state.see(authority.View{Serving: c.serving})
		guard.look(t.Context())
		if keeps := server.has("keep events"); keeps != c.keeps {
			t.Errorf("%s: keeps events %t", name, keeps)
		}
	}
}
