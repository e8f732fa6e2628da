package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// newTestGuard sees one session of a Job on a passive that follows.
func newTestGuard(server *recorder) (*jobGuard, *oneTurn) {
	roles := &oneTurn{standing: orderFollow}
	state := newTestBoard()
	state.saw(mysqlops.Status{Sessions: mysqlops.Sessions{Jobs: 1}}, process.Now())
	return &jobGuard{
		log:    logr.Discard(),
		ops:    server,
		mysqld: running("run-1"),
		state:  state,
		roles:  roles,
		config: func() agentapi.Config { return agentapi.Config{MaxLockTime: time.Second} },
		ended:  func() {},
	}, roles
}

func TestALockThatIsHeldTooLongEndsItsSession(t *testing.T) {
	table := mysqlops.JobLock{SessionID: 7, User: mysqlops.UserChecksum, Table: "people"}
	rows := mysqlops.JobLock{SessionID: 8, User: mysqlops.UserRepair, Transaction: "t1"}
	server := &recorder{tables: []mysqlops.JobLock{table}, rows: []mysqlops.JobLock{rows}}
	g, _ := newTestGuard(server)
	g.look(t.Context())
	if got := server.done(); !slices.Equal(got, []string{"watch locks"}) {
		t.Fatalf("at first sight: %v", got)
	}
	for lock := range g.held {
		g.held[lock] = process.Now().Add(-2 * time.Second)
	}
	g.look(t.Context())
	if got := server.done(); !slices.Equal(got, []string{"end session 7"}) {
		t.Errorf("after two seconds: %v, want the end of the comparison's session alone", got)
	}
	for lock := range g.held {
		g.held[lock] = process.Now().Add(-repairTransactionLimit)
	}
	server.tables = nil
	g.look(t.Context())
	if got := server.done(); !slices.Equal(got, []string{"end session 8"}) {
		t.Errorf("after the limit of a repair: %v", got)
	}
}

func TestSessionsOfJobsEndWhileTheRolesChange(t *testing.T) {
	server := &recorder{}
	g, roles := newTestGuard(server)
	roles.standing = orderNone
	g.look(t.Context())
	if got := server.done(); !slices.Equal(got, []string{"end all sessions"}) {
		t.Errorf("done: %v", got)
	}
	g.mysqld.child.up = false
	g.look(t.Context())
	g.endAll(t.Context(), "nothing is up")
	if got := server.done(); len(got) != 0 {
		t.Errorf("a mysqld that is not up was asked: %v", got)
	}
}
