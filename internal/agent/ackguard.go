package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// ackGuard sees to the acknowledgements of an open member whose commits wait: only the peer may
// give them, and one that was lost must not hold a commit up. The watch alone uses it.
type ackGuard struct {
	pairUID pair.UID
	ordinal pair.Ordinal
	log     logr.Logger
	ops     ackServer
	state   *board
	peer    peerSource
	foreign func() // someone else than the peer may have acknowledged

	dumps string // the dump threads at the last look
}

// ackServer is what the acknowledgements need of mysqld.
type ackServer interface {
	CutForeignDumpThreads(ctx context.Context, account string, peer gtid.ServerUUID) ([]mysqlops.DumpThread, error)
	CommitHeartbeat(ctx context.Context, ordinal int) error
}

// look cuts foreign replicas. A commit that still waits because its acknowledgement was lost is
// released by committing a heartbeat row, whose acknowledgement covers every commit before it.
func (g *ackGuard) look(ctx context.Context, status mysqlops.Status) {
	g.cutForeign(ctx, status)
	if g.heartbeatIsDue(status) {
		go func() {
			if err := g.ops.CommitHeartbeat(ctx, int(g.ordinal)); err != nil && !errors.Is(err, mysqlops.ErrCommitsWaiting) {
				g.log.V(1).Info("no heartbeat committed", "reason", err.Error())
			}
		}()
	}
}

// heartbeatIsDue: a replica is there that is new since the last look, or that does not acknowledge.
func (g *ackGuard) heartbeatIsDue(status mysqlops.Status) bool {
	var dumps string
	for _, d := range status.DumpThreads {
		dumps += string(d.ReplicaUUID) + "/" + itoa(d.SessionID) + " "
	}
	reconnected := dumps != g.dumps && dumps != ""
	g.dumps = dumps
	return status.SemiSync.Clients >= 1 && (reconnected || status.SemiSync.OldestWait > time.Second)
}

func (g *ackGuard) cutForeign(ctx context.Context, status mysqlops.Status) {
	var uuid gtid.ServerUUID
	if peer, _ := g.peer.last(); peer != nil && peer.Server != nil && peer.PairUID == g.pairUID {
		uuid = gtid.ServerUUID(peer.Server.ServerUUID)
	}
	peers := 0
	for _, d := range status.DumpThreads {
		if !d.IsForeign(mysqlops.UserReplication, uuid) {
			peers++
		}
	}
	if peers == len(status.DumpThreads) {
		g.state.resolve(agentapi.ProblemForeignReplica)
		return
	}
	if status.SemiSync.Clients > peers {
		// One that merely reads acknowledges nothing.
		g.foreign()
	}
	cut, err := g.ops.CutForeignDumpThreads(ctx, mysqlops.UserReplication, uuid)
	if err != nil {
		g.log.Error(err, "cannot cut a foreign replica")
		return
	}
	for _, d := range cut {
		g.log.Info("foreign replica cut", "user", d.User, "host", d.Host, "replicaUUID", d.ReplicaUUID)
		g.state.problem(agentapi.ProblemForeignReplica, "a foreign reader of the primary's binary logs ("+d.User+" from "+d.Host+
			") was cut: the acknowledgements of a replica would let writes pass that the peer does not have; "+
			"have it read from the passive, by the account of a DatabasePairUser with spec.replication, or take its REPLICATION SLAVE right away")
	}
}
