package agent_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// A mysqld that shuts down answers OK to commits that wait for the passive, which may be on
// this member alone then.
func TestAMysqldThatIsEndedFromOutsideIsKilled(t *testing.T) {
	for name, end := range map[string]func(a *member){
		"SIGTERM": func(a *member) { a.signalMysqld(syscall.SIGTERM) },
		"SHUTDOWN by root": func(a *member) {
			if err := a.exec(a.db("root"), "SHUTDOWN"); err != nil {
				t.Log(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b := writing(t)
			b.holdReceiver()
			acknowledged := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := a.db("app").ExecContext(ctx, "INSERT INTO t (v) VALUES (2)")
				acknowledged <- err
			}()
			a.awaitState("a commit waits", patience, func(s agentapi.State) bool { return s.Server != nil && s.Server.WaitSessions == 1 })
			ended := time.Now()
			end(a)
			if err := <-acknowledged; err == nil {
				t.Error("a commit that the passive does not have was acknowledged")
			}
			t.Logf("the client's session ended after %s", time.Since(ended))
			s := a.awaitState("the end is seen", patience, func(s agentapi.State) bool { return s.Mysqld.Exits > 0 })
			if s.Mysqld.LastExit != "signal: killed" {
				t.Errorf("mysqld ended with %s", s.Mysqld.LastExit)
			}
			w.disjoint()
		})
	}
}
