package judge_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestAPassiveWithWritesOfItsOwnIsComparedAgain(t *testing.T) {
	const (
		primary = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
		passive = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
		foreign = "5e11fa47-71ca-11e1-9e33-c80aa9429562"
	)
	with := func(executed string) mysqlops.Status { return mysqlops.Status{Executed: gtid.MustParse(executed)} }
	receives := func(receiver, applier bool) *agentapi.State {
		return &agentapi.State{Server: &agentapi.Server{
			ServerUUID: "4E11FA47-71CA-11E1-9E33-C80AA9429562",
			Receiver:   agentapi.ChannelThread{Running: receiver},
			Applier:    agentapi.ChannelThread{Running: applier},
		}}
	}
	stopped := receives(false, true)
	compared := primary + ":1-3," + passive + ":1-2"
	for name, c := range map[string]struct {
		executed string
		primary  *agentapi.State
		looks    int
		due      bool
	}{
		"more of the primary":                        {compared + "," + primary + ":4-9", stopped, 3, false},
		"its own, seen once":                         {compared + "," + passive + ":3", stopped, 1, false},
		"its own, seen twice":                        {compared + "," + passive + ":3", stopped, 2, true},
		"its own, and not compared since":            {compared + "," + passive + ":3", stopped, 5, true},
		"of any other server":                        {compared + "," + foreign + ":1", stopped, 2, true},
		"the primary receives it":                    {compared + "," + passive + ":3", receives(true, true), 5, false},
		"the primary receives it and applies it not": {compared + "," + passive + ":3", receives(true, false), 2, true},
		"the primary has not answered":               {compared + "," + passive + ":3", nil, 2, false},
		"the primary's mysqld has not answered":      {compared + "," + passive + ":3", &agentapi.State{}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			var own judge.OwnWrites
			own.Compared(with(compared), stopped)
			due := false
			for range c.looks {
				due = own.Due(with(c.executed), c.primary)
			}
			if due != c.due {
				t.Errorf("due: %t", due)
			}
			own.Compared(with(c.executed), stopped)
			for range 3 {
				if own.Due(with(c.executed), stopped) {
					t.Error("it is due again once it was compared")
				}
			}
		})
	}
}
