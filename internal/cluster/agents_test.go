package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/fencing"
)

// A node that dies takes many primaries with it: pairs must not wait for each other's agents.
func TestASilentAgentIsNotWaitedForLong(t *testing.T) {
	for name, silent := range map[string]bool{"an agent that answers the watch": false, "one that does not": true} {
		t.Run(name, func(t *testing.T) {
			a := Agents{
				Client: func(fencing.Subject) (*agentclient.Client, error) { return &agentclient.Client{}, nil },
				Silent: func(fencing.Subject) bool { return silent },
			}
			var left time.Duration
			ask := func(_ *agentclient.Client, ctx context.Context, _ agentapi.Command) (agentapi.FenceReply, error) {
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				return agentapi.FenceReply{}, nil
			}
			if _, err := call(t.Context(), a, fencing.Subject{}, fenceTimeout, ask, agentapi.Command{}); err != nil {
				t.Fatal(err)
			}
			if (left <= silentTimeout) != silent {
				t.Errorf("it may take %s", left)
			}
		})
	}
}
