package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// readers are those who read the binary logs and are not the peer. mysqld takes for a semi-sync
// replica who says so of itself, and no right keeps a reader from saying so; what it acknowledges
// then, and that can be what it does not have yet, lets commits pass that the peer lacks. So readers
// are only where commits wait for nobody: on the passive, and on a primary that need not wait. They
// are gone, by mysqld's own account, before commits begin to wait.
type readers struct {
	log  logr.Logger
	ops  readerServer
	port *door.Readers

	checked time.Time // when removed accounts were looked for; of the watch only
}

// readerServer is what readers need of mysqld.
type readerServer interface {
	EndReaders(ctx context.Context, account string) (int, error)
	EndRemovedReaders(ctx context.Context) (int, error)
}

// removedEvery is how often readers are looked for whose account was removed. It was removed on the
// primary, which ends what it has itself.
const removedEvery = 5 * time.Second

// readersEnd bounds the end of all readers. Each is killed, which takes milliseconds.
const readersEnd = 5 * time.Second

var errReadersStay = errors.New("readers of the binary logs do not end")

// newReadersPort makes the port. Its connections come from an address of the loopback interface of
// their own, so that root's account, which is local, is not for them.
func (a *Agent) newReadersPort() *door.Readers {
	host := a.opt.BindAddress
	if host == "" {
		host = "127.0.0.1"
	}
	return door.NewReaders(
		door.DialFrom(mysqlops.ReaderHost, net.JoinHostPort(host, strconv.Itoa(a.opt.MySQLPort))),
		fmt.Sprintf("dbpair: the binary logs of pair %s/%s are read at its passive, not here: connect again", a.env.Namespace, a.env.PairName),
	)
}

// look opens the port while commits wait for nobody, by what mysqld said to a question during which
// nobody changed that, as holds tells.
func (r *readers) look(ctx context.Context, status mysqlops.Status, serving authority.Serving, holds func() bool) {
	serves := serving == authority.Serves || serving == authority.Shut
	if !serves || status.SemiSync.SourceEnabled {
		r.port.Close()
		return
	}
	r.port.Open(holds)
	if r.port.Empty() || time.Since(r.checked) < removedEvery {
		return
	}
	r.checked = time.Now()
	if n, err := r.ops.EndRemovedReaders(ctx); err != nil {
		r.log.V(1).Info("readers whose account was removed are not looked for", "reason", err.Error())
	} else if n > 0 {
		r.log.Info("readers of the binary logs ended, whose account was removed", "sessions", n)
	}
}

// name gives those who came by the port the address that they came from.
func (r *readers) name(threads []mysqlops.DumpThread) {
	for i := range threads {
		if client := r.port.ClientOf(threads[i].Port); threads[i].Host == mysqlops.ReaderHost && client != "" {
			threads[i].Host = client
		}
	}
}

// describeReaders is what is published of those who read the binary logs and are not the peer.
func describeReaders(threads []mysqlops.DumpThread) (list []agentapi.BinlogReader) {
	for _, d := range threads {
		if d.User == mysqlops.UserReplication {
			continue
		}
		list = append(list, agentapi.BinlogReader{
			User:        d.User,
			From:        d.Host,
			ReplicaUUID: string(d.ReplicaUUID),
			For:         d.Since,
			CaughtUp:    d.CaughtUp,
		})
	}
	return list
}

// end ends all readers, and lets none in until look does. It returns when mysqld has none, or with
// errReadersStay; commits must not wait then.
func (r *readers) end(ctx context.Context) error {
	r.port.Close()
	ctx, cancel := context.WithTimeout(ctx, readersEnd)
	defer cancel()
	ended := 0
	for {
		found, err := r.ops.EndReaders(ctx, mysqlops.UserReplication)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && found == 0 && r.port.Empty():
			if ended > 0 {
				r.log.Info("readers of the binary logs ended, commits are about to wait", "sessions", ended)
			}
			return nil
		}
		ended = max(ended, found)
		select {
		case <-ctx.Done():
			return errors.Join(errReadersStay, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
