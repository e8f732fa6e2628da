package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// usersServer is a mysqld whose users are changed.
type usersServer struct {
	recorder
	made    mysqlops.User
	overlap time.Duration
	taken   bool
}

func (s *usersServer) EnsureUser(_ context.Context, u mysqlops.User, overlap time.Duration) (mysqlops.UserChanges, error) {
	s.made = u
	s.overlap = overlap
	if s.taken {
		return mysqlops.UserChanges{}, mysqlops.ErrNotManaged
	}
	return mysqlops.UserChanges{Changed: []string{"made"}}, s.change("ensure " + u.Name)
}

func (s *usersServer) RemoveUser(_ context.Context, name string, _ bool) (bool, error) {
	return true, s.change("remove " + name)
}

func newUsers(server *usersServer, view authority.View) *users {
	state := newTestBoard()
	state.see(view)
	return &users{
		gate:   gate{pairUID: "pair-a", state: state},
		log:    logr.Discard(),
		ops:    server,
		state:  state,
		config: func() agentapi.Config { return agentapi.Config{AppUser: "app", AppPasswordOverlap: time.Hour} },
	}
}

// command is one that the agent of newUsers carries out.
func userCommand(change func(*agentapi.EnsureUserCommand)) agentapi.EnsureUserCommand {
	c := agentapi.EnsureUserCommand{
		Command: agentapi.Command{
			PairUID:   "pair-a",
			Epoch:     3,
			RequestID: "r1",
		},
		User:     "reporter",
		Password: "secret",
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestWhichUsersAnAgentRefuses(t *testing.T) {
	closed := authority.View{Known: 3, Serving: authority.Shut}
	open := authority.View{Known: 3, Serving: authority.Serves}
	type command = agentapi.EnsureUserCommand
	for name, c := range map[string]struct {
		view   authority.View
		change func(*command)
		taken  bool
		code   agentapi.ErrorCode
	}{
		"another pair":        {view: open, change: func(c *command) { c.PairUID = "pair-b" }, code: agentapi.ErrorWrongPair},
		"an older epoch":      {view: open, change: func(c *command) { c.Epoch = 2 }, code: agentapi.ErrorStale},
		"an epoch to come":    {view: open, change: func(c *command) { c.Epoch = 4 }, code: agentapi.ErrorRefused},
		"a closed member":     {view: closed, code: agentapi.ErrorRefused},
		"root":                {view: open, change: func(c *command) { c.User = "root" }, code: agentapi.ErrorRefused},
		"an account of MySQL": {view: open, change: func(c *command) { c.User = "mysql.sys" }, code: agentapi.ErrorRefused},
		"one of the pair's":   {view: open, change: func(c *command) { c.User = "dbpair_repl" }, code: agentapi.ErrorRefused},
		"the application's":   {view: open, change: func(c *command) { c.User = "app" }, code: agentapi.ErrorUserTaken},
		"no password":         {view: open, change: func(c *command) { c.Password = "" }, code: agentapi.ErrorRefused},
		"a reserved right":    {view: open, change: func(c *command) { c.Grants = []string{"SUPER"} }, code: agentapi.ErrorRefused},
		"SQL in a right": {
			view: open, change: func(c *command) { c.Grants = []string{"SELECT ON *.* TO root --"} }, code: agentapi.ErrorRefused,
		},
		"a schema of MySQL":     {view: open, change: func(c *command) { c.Databases = []string{"MySQL"} }, code: agentapi.ErrorRefused},
		"someone's account":     {view: open, taken: true, code: agentapi.ErrorUserTaken},
		"nothing that is wrong": {view: open},
	} {
		t.Run(name, func(t *testing.T) {
			server := &usersServer{taken: c.taken}
			_, err := newUsers(server, c.view).ensure(t.Context(), userCommand(c.change))
			var refused refusal
			if errors.As(err, &refused); refused.code != c.code {
				t.Errorf("got %v, want a refusal %q", err, c.code)
			}
			if did := server.has("ensure reporter"); did != (c.code == "") {
				t.Errorf("done: %t", did)
			}
		})
	}
}

func TestAnAgentPassesAUserOn(t *testing.T) {
	server := &usersServer{}
	u := newUsers(server, authority.View{Known: 3, Serving: authority.Serves})
	reply, err := u.ensure(t.Context(), userCommand(func(c *agentapi.EnsureUserCommand) {
		c.Databases = []string{"till"}
		c.Grants = []string{agentapi.GrantAll}
		c.MaxConnections = 7
	}))
	if err != nil || reply.RequestID != "r1" || len(reply.Changed) != 1 {
		t.Errorf("reply %+v, %v", reply, err)
	}
	made := server.made
	if made.Name != "reporter" || made.Sessions != 7 || !slices.Equal(made.Rights, agentapi.UserGrants) || server.overlap != time.Hour {
		t.Errorf("made %+v with an overlap of %s", made, server.overlap)
	}
	remove := agentapi.RemoveUserCommand{Command: userCommand(nil).Command, User: "reporter"}
	if _, err := u.remove(t.Context(), remove); err != nil || !server.has("remove reporter") {
		t.Errorf("removed: %q, %v", server.done(), err)
	}
	remove.User = "dbpair_repl"
	if _, err := u.remove(t.Context(), remove); err == nil {
		t.Error("an account of the pair was removed")
	}
}
