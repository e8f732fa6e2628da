package agent

import (
	"context"
	"sync"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
)

// archived is what the archive of binary logs has, by the operator's last word. It is safe for
// concurrent use. An agent that was just started knows of nothing, and keeps more than it has to.
type archived struct {
	pairUID pair.UID

	mu  sync.Mutex
	set gtid.Set
}

// order takes over what is archived.
func (a *archived) order(_ context.Context, c agentapi.ArchivedCommand) (agentapi.Done, error) {
	if c.PairUID != a.pairUID {
		return agentapi.Done{}, refuse(agentapi.ErrorWrongPair, "this is a member of pair %s, not of %s", a.pairUID, c.PairUID)
	}
	set, err := gtid.Parse(c.GTIDs)
	if err != nil {
		return agentapi.Done{}, refuse(agentapi.ErrorMalformed, "gtids: %v", err)
	}
	a.mu.Lock()
	a.set = set
	a.mu.Unlock()
	return agentapi.Done{RequestID: c.RequestID}, nil
}

func (a *archived) get() gtid.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.set
}
