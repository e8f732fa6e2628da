package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

const oneTransaction = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1"

// newTestForcing is that of a passive which follows, at epoch 4, with a permission for repair r1.
func newTestForcing(t *testing.T) (*forcing, *recorder, *oneTurn) {
	t.Helper()
	state := newTestBoard()
	state.see(authority.View{Known: 4, Serving: authority.Shut})
	entry := gate{pairUID: "pair-a", state: state}
	allowed := &permit{
		gate:  entry,
		log:   logr.Discard(),
		state: state,
	}
	allowed.give(permitted("r1", "people", 4, time.Minute), process.Now())
	server := &recorder{}
	follow := &oneTurn{standing: orderFollow}
	return &forcing{
		gate:   entry,
		log:    logr.Discard(),
		ops:    server,
		mysqld: running("run-1"),
		state:  state,
		follow: follow,
		permit: allowed,
	}, server, follow
}

func leaseCommand(operation string, limit time.Duration) agentapi.RepairLeaseCommand {
	return agentapi.RepairLeaseCommand{
		Command:   agentapi.Command{PairUID: "pair-a", Epoch: 4},
		Operation: operation,
		For:       limit,
	}
}

func TestWhoMayForceRowsThrough(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*forcing, *oneTurn)
		command agentapi.RepairLeaseCommand
		fine    bool
	}{
		"the repair that is permitted":   {func(*forcing, *oneTurn) {}, leaseCommand("r1", time.Second), true},
		"another one":                    {func(*forcing, *oneTurn) {}, leaseCommand("r2", time.Second), false},
		"for too long":                   {func(*forcing, *oneTurn) {}, leaseCommand("r1", time.Hour), false},
		"while another one has it":       {func(f *forcing, _ *oneTurn) { f.operation = "r0" }, leaseCommand("r1", time.Second), false},
		"on a member that is open":       {func(f *forcing, _ *oneTurn) { f.state.see(openAt(4)) }, leaseCommand("r1", time.Second), false},
		"on one whose receiver is ended": {func(_ *forcing, o *oneTurn) { o.standing = orderFenced }, leaseCommand("r1", time.Second), false},
		"on one whose mysqld starts":     {func(f *forcing, _ *oneTurn) { f.mysqld.child.up = false }, leaseCommand("r1", time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			f, server, follow := newTestForcing(t)
			c.change(f, follow)
			if _, err := f.order(t.Context(), c.command); (err == nil) != c.fine || server.has("idempotent") != c.fine {
				t.Errorf("answered %v after %v", err, server.done())
			}
			if !follow.TryLock() {
				t.Error("the turn was not given back")
			}
		})
	}
}

func TestALeaseEndsWhenWhatWasReceivedUnderItIsApplied(t *testing.T) {
	f, server, _ := newTestForcing(t)
	if _, err := f.order(t.Context(), leaseCommand("r1", maxForcing)); err != nil {
		t.Fatal(err)
	}
	server.done()
	f.tend(t.Context())
	if f.holder() != "r1" {
		t.Fatal("it ended before its time")
	}
	f.until = process.Now().Add(-time.Millisecond)
	server.status.Received = gtid.MustParse(oneTransaction)
	f.tend(t.Context()) // takes down what has been received
	f.tend(t.Context())
	if f.holder() != "r1" || len(server.done()) != 0 {
		t.Fatal("it ended before what was received under it was applied")
	}
	server.status.Executed = server.status.Received
	f.tend(t.Context())
	if f.holder() != "" || !slices.Equal(server.done(), []string{"strict"}) {
		t.Errorf("%q has it", f.holder())
	}
	if err := f.end(t.Context(), "again", ""); err != nil || len(server.done()) != 0 {
		t.Errorf("the end of no lease: %v", err)
	}
}

func TestALeaseEndsWithItsMysqld(t *testing.T) {
	f, server, _ := newTestForcing(t)
	if _, err := f.order(t.Context(), leaseCommand("r1", maxForcing)); err != nil {
		t.Fatal(err)
	}
	f.mysqld.child.incarnation = "run-2"
	f.tend(t.Context())
	if f.holder() != "" || !server.has("strict") {
		t.Errorf("%q has it after %v", f.holder(), server.done())
	}
}

func TestAnApplierGoesOnUnderTheLeaseOnlyAtARow(t *testing.T) {
	for errno, goesOn := range map[int]bool{1032: true, 1062: true, 1205: false, 0: false} {
		f, server, _ := newTestForcing(t)
		server.status.Channel.Configured = true
		server.status.Channel.ApplierError.Number = errno
		if err := f.grant(t.Context(), "r1", time.Minute); err != nil || server.has("start applier") != goesOn {
			t.Errorf("error %d: %v after %v", errno, err, server.done())
		}
	}
}

func TestAnApplierIsStrictWithoutALease(t *testing.T) {
	f, server, _ := newTestForcing(t)
	f.keepStrict(t.Context())
	if len(server.done()) != 0 {
		t.Error("a strict applier was changed")
	}
	server.drift = []mysqlops.Difference{{}}
	f.keepStrict(t.Context())
	if !server.has("strict") {
		t.Error("an applier that forces rows through was left so")
	}
	f.operation = "r1"
	server.done()
	f.keepStrict(t.Context())
	if len(server.done()) != 0 {
		t.Error("the applier of a repair was made strict")
	}
}

func TestWhoMayWriteATable(t *testing.T) {
	write := func(operation, table string, limit time.Duration) agentapi.RepairRightsCommand {
		return agentapi.RepairRightsCommand{
			Command:   agentapi.Command{PairUID: "pair-a", Epoch: 4},
			Operation: operation,
			Schema:    "app",
			Table:     table,
			For:       limit,
		}
	}
	for name, c := range map[string]struct {
		change  func(*repairRights, *recorder)
		command agentapi.RepairRightsCommand
		does    string // empty when it is refused
	}{
		"the repair that is permitted": {func(*repairRights, *recorder) {}, write("r1", "people", time.Minute), "grant app.people"},
		"another table":                {func(*repairRights, *recorder) {}, write("r1", "other", time.Minute), ""},
		"another repair":               {func(*repairRights, *recorder) {}, write("r2", "people", time.Minute), ""},
		"for too long":                 {func(*repairRights, *recorder) {}, write("r1", "people", time.Hour), ""},
		"while another one repairs": {func(r *repairRights, _ *recorder) {
			r.operation = "r0"
			r.until = process.Now().Add(time.Minute)
		}, write("r1", "people", time.Minute), ""},
		"on a member that is closed": {func(r *repairRights, _ *recorder) {
			r.state.see(authority.View{Known: 4, Serving: authority.Shut})
		}, write("r1", "people", time.Minute), ""},
		"while commits wait":    {func(_ *repairRights, s *recorder) { s.status.SemiSync.WaitSessions = 1 }, write("r1", "people", time.Minute), ""},
		"the end of its rights": {func(*repairRights, *recorder) {}, write("r1", "people", 0), "revoke all but ."},
	} {
		t.Run(name, func(t *testing.T) {
			f, server, _ := newTestForcing(t)
			f.state.see(openAt(4))
			r := &repairRights{
				gate:   f.gate,
				log:    logr.Discard(),
				ops:    server,
				state:  f.state,
				permit: f.permit,
			}
			c.change(r, server)
			_, err := r.order(t.Context(), c.command)
			if (err == nil) != (c.does != "") {
				t.Fatalf("answered %v", err)
			}
			var want []string
			if c.does != "" {
				want = []string{c.does}
			}
			if done := server.done(); !slices.Equal(done, want) {
				t.Errorf("changes %v, want %v", done, want)
			}
		})
	}
}
